"""What a guard was made of, as an entry of the evidence tells it."""

from __future__ import annotations

from typing import Any

import msgspec

from ringfence import options as plugin_options
from ringfence.exhibit import Exhibit, Origin
from ringfence.protocols import MarkedAnswers

CONFIGURED = "configured"


class Configuration(msgspec.Struct, frozen=True, kw_only=True):
    """The body of the entry that a guard writes when it starts."""

    origin: dict[str, Any]
    model: str  #: digest of the weights
    defenses: dict[str, dict[str, Any]]  #: options by name, in their order; of secrets a digest
    skip: list[str]
    found: dict[str, Any]  #: what detectors say of themselves: thresholds, false-positive rates
    versions: dict[str, str | None]
    observe: bool
    source: str  #: run, file or upstream


def read(body: bytes) -> Configuration:
    """Return a configuration that was recorded."""
    return msgspec.json.decode(body, type=Configuration)


def configured(body: bytes, ledger: MarkedAnswers) -> Exhibit:
    """Return a ledger with what one must know to judge a suspect by it."""
    origin = plugin_options.converter.structure(read(body).origin, Origin)
    return Exhibit(origin, ledger)
