"""Registration: a commitment to a victim and its trigger sets, made before any dispute.

Szyller et al., "DAWN", ACM MM 2021: who accuses must show that model and triggers were fixed before
the suspect was looked at. The digest is what an owner publishes; it gives away neither.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import attrs
from attrs import field, frozen
from cattrs import BaseValidationError
from torch import Tensor, nn

from ringfence import exhibit, options
from ringfence.atomic import write_text
from ringfence.errors import BadEvidence
from ringfence.exhibit import Exhibit
from ringfence.experiment import Experiment
from ringfence.fingerprint import commitment
from ringfence.protocols import MarkedAnswers

FILE = "registration.json"
SCHEME = "ringfence-sha256-1"
LIMIT = 64 << 20  #: bytes of the file


@frozen(kw_only=True)
class TriggerDigest:
    """One client's trigger set of one plugin."""

    plugin: str
    kind: str
    client: str
    triggers: int
    digest: str


@frozen(kw_only=True)
class Registration:
    """What is committed to, when, and the digest of all of it."""

    scheme: str = SCHEME
    time: str  #: UTC, as the machine's clock had it; it binds only whoever saw the digest then
    model: str
    sets: tuple[TriggerDigest, ...]
    digest: str = field()

    @digest.default
    def _commit(self) -> str:
        return self.expected()

    def expected(self) -> str:
        """Return the digest that belongs to what the other fields say."""
        sets = [attrs.asdict(one) for one in self.sets]
        return commitment(self.scheme, self.time, self.model, sets)


@frozen
class Registry:
    """Where a run leaves its ledger and its registration."""

    folder: Path

    def register(self, run: Experiment, victim: nn.Module) -> None:
        """Export and register what was marked so far; once, and nothing where nothing was."""
        if not run.store.ledger.dump():
            return
        model, sets = model_digest(victim.state_dict()), set_digests(run.store.ledger)
        if self._holds(model, sets):
            return
        shutil.rmtree(self.folder / exhibit.FOLDER, ignore_errors=True)
        Exhibit.of_run(run).save(self.folder / exhibit.FOLDER)
        now = datetime.now(UTC).isoformat(timespec="seconds")
        made = Registration(time=now, model=model, sets=sets)
        write_text(self.folder / FILE, json.dumps(attrs.asdict(made), indent=2) + "\n")

    def _holds(self, model: str, sets: tuple[TriggerDigest, ...]) -> bool:
        """Return whether the same was registered by an earlier process, which was killed then."""
        try:
            found = read(self.folder / FILE)
        except BadEvidence:
            return False
        there = (self.folder / exhibit.FOLDER).exists()
        return there and found is not None and (found.model, found.sets) == (model, sets)


def read(file: Path) -> Registration | None:
    """Return the registration in ``file``; nothing if there is no such file."""
    if not file.exists():
        return None
    try:
        if file.stat().st_size > LIMIT:
            raise ValueError(f"it has over {LIMIT:,} bytes")
        found = json.loads(file.read_text(encoding="utf-8"))
        if not isinstance(found, dict) or "digest" not in found:
            raise ValueError("it has no digest")
        return options.converter.structure(found, Registration)
    except (OSError, ValueError, RecursionError, BaseValidationError) as error:
        why = str(error).partition("\n")[0]
        raise BadEvidence(f"{file} cannot be read as a registration ({why}).") from error


def check(found: Registration, ledger: MarkedAnswers, weights: Mapping[str, Tensor] | None) -> None:
    """Raise unless ``found`` is the registration of this ledger, and of these weights if given."""
    if found.scheme != SCHEME:
        raise BadEvidence(f"The registration has the scheme {found.scheme!r}, not {SCHEME!r}.")
    wrong = [] if found.digest == found.expected() else ["its own digest"]
    wrong += [] if found.sets == set_digests(ledger) else ["the ledger"]
    wrong += ["the victim"] if weights and found.model != model_digest(weights) else []
    if wrong:
        raise BadEvidence(
            f"The registration of {found.time} does not fit {' and '.join(wrong)}: something was "
            "changed after it. Evidence from such a ledger proves nothing."
        )


def model_digest(weights: Mapping[str, Tensor]) -> str:
    """Return a digest of a model's weights, whatever file they are kept in."""
    return commitment(*[part for name in sorted(weights) for part in (name, weights[name])])


def set_digests(ledger: MarkedAnswers) -> tuple[TriggerDigest, ...]:
    """Return a digest per plugin, kind and client, so that one set can be shown without others."""
    names = {(m["plugin"], m["kind"], one) for m in ledger.dump() for one in m["clients"]}
    return tuple(_digest(ledger, *name) for name in sorted(names))


def _digest(ledger: MarkedAnswers, plugin: str, kind: str, client: str) -> TriggerDigest:
    pairs: Any = ledger.pairs(client, plugin, kind)
    digest = commitment(plugin, kind, client, pairs.images, pairs.answers)
    told = {"plugin": plugin, "kind": kind, "client": client}
    return TriggerDigest(**told, triggers=len(pairs), digest=digest)
