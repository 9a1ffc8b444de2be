"""Who is accused, and beside whom: files of weights, stages of runs, services at an address."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import field, frozen, validators
from torch import nn

from ringfence import plugins, suspects
from ringfence.errors import BadEvidence, UnknownName
from ringfence.exhibit import Exhibit
from ringfence.protocols import Endpoint, OracleSource
from ringfence.suspects import Size

Options = Mapping[str, Mapping[str, Any]]


def _texts(values: Iterable[Any]) -> tuple[str, ...]:
    return tuple(map(str, values))


@frozen(kw_only=True)
class Case:
    """Who is accused, by which ledger, beside whom.

    A suspect or control is a file, or the address of a service that an oracle plugin can ask; a
    ledger is a folder, or ``NAME:VALUE``, a store plugin with the option of that value.
    """

    suspect: str = field(converter=str)
    ledger: str = field(converter=str)
    controls: tuple[str, ...] = field(converter=_texts, validator=validators.min_len(1))
    verifier: str
    model: str | None = None  #: of weights whose architecture is unknown; none: the victim's
    options: Options = field(factory=dict)
    owner_queries: int = field(default=10_000, validator=validators.gt(0))
    device: str = "cpu"
    threads: int | None = None


def named(case: Case, name: str) -> suspects.Found | Endpoint:
    """Return the weights in a file or stage, or the service at an address."""
    kind, address, _ = name.partition("://")
    if address:
        oracle = {"https": "http"}.get(kind, kind)
        source: OracleSource = plugins.build(
            "oracles", f"{oracle}:{name}", case.options.get(oracle)
        )
        return source.connect(_no_service)
    if not Path(name).exists():
        raise BadEvidence(f"{name} is not there. Give a file of weights, or a stage of a run.")
    return suspects.find(Path(name))


def _no_service() -> Endpoint:
    raise BadEvidence("This oracle sets up a victim of its own. Give the address of a service.")


def parts(case: Case, found: Exhibit, given: Sequence[suspects.Found | Endpoint]) -> list[str]:
    """Return the plugins of this case beside its verifier."""
    models = [_model(case, found, one) for one in given if isinstance(one, suspects.Found)]
    stores = [case.ledger.partition(":")[0]] if ":" in case.ledger else []
    return [*models, *stores, *(["http"] if len(models) < len(given) else [])]


def _model(case: Case, found: Exhibit, given: suspects.Found) -> str:
    """Return the name of an architecture: the one of the weights, --model, or the victim's."""
    name = given.model or case.model or found.origin.model
    if name is None:
        raise BadEvidence(f"The architecture of {given.source} is unknown. Give --model.")
    return name


def rebuilt(case: Case, found: Exhibit, given: suspects.Found) -> nn.Module:
    """Return a model with the given weights, on the case's device."""
    origin, name = found.origin, _model(case, found, given)
    known = given.options if given.model else origin.options if name == origin.model else {}
    size = Size(origin.num_classes, origin.image_shape)
    made = suspects.build(given, name, {**known, **case.options.get(name, {})}, size)
    return made.to(case.device)


def refuse_strangers(case: Case, parts: Sequence[str]) -> None:
    """Refuse options of what has no part in this case."""
    known = {case.verifier, *parts}
    for stranger in sorted(set(case.options) - known):
        raise UnknownName("plugin of this case", stranger, known, option=f"{stranger}.")
