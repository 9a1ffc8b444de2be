"""Judge a suspect by the ledger of a finished run, beside innocent controls.

Nothing of the run is needed but the ledger that it left: verifiers that want the data find none,
and the victim only where the run's own folder is at hand.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from attrs import field, frozen, validators
from torch import nn

from ringfence import artifact, device, exhibit, plugins, registration, suspects
from ringfence.errors import BadEvidence, BadOption, UnknownName
from ringfence.evidence import judge
from ringfence.exhibit import Exhibit
from ringfence.experiment import Experiment
from ringfence.protocols import Verifier
from ringfence.registration import Registration
from ringfence.reports import report_of
from ringfence.selection import ask, makers, manager
from ringfence.store import MemoryStore
from ringfence.suspects import Size
from ringfence.types import Split

Options = Mapping[str, Mapping[str, Any]]
HOOK = "make_verifier"


@frozen(kw_only=True)
class Case:
    """Who is accused, by which ledger, beside whom."""

    suspect: Path
    ledger: Path
    controls: tuple[Path, ...] = field(validator=validators.min_len(1))
    verifier: str
    model: str | None = None  #: of weights whose architecture is unknown; none: the victim's
    options: Options = field(factory=dict)
    owner_queries: int = field(default=10_000, validator=validators.gt(0))
    device: str = "cpu"
    threads: int | None = None


def verify(case: Case) -> dict[str, Any]:
    """Return the evidence against the suspect and against each control, as plain values."""
    device.use(case.device, case.threads)
    plugin = plugins.build("defenses", case.verifier, case.options.get(case.verifier))
    folder = _ledger_folder(case.ledger)
    found = exhibit.load(folder, case.device)
    victim = _victim(folder.parent / "stages" / "victim")
    registered = registration.read(folder.parent / registration.FILE)
    if registered:
        registration.check(registered, found.ledger, victim.weights if victim else None)
    court = _court(case, found)
    verifiers = _verifier(case, court, plugin, found, victim)
    given = [_found(path) for path in (case.suspect, *case.controls)]
    _refuse_strangers(case, [_model(case, found, one) for one in given])
    suspect, *others = [_net(case, found, one) for one in given]
    controls = [(f"control:{path}", net) for path, net in zip(case.controls, others, strict=True)]
    evidence = judge(court, verifiers, suspect, controls)
    evidence[0]["suspect"] = str(case.suspect)
    return {
        "verifier": case.verifier,
        "ledger": _told(found, case.verifier),
        "registration": _registered(registered, victim is not None),
        "evidence": evidence,
        "report": report_of(verifiers[case.verifier]),
    }


def _ledger_folder(path: Path) -> Path:
    """Return the ledger's folder: ``path`` itself, or the one in the run's folder ``path``."""
    found = path / exhibit.FOLDER if (path / exhibit.FOLDER).is_dir() else path
    if not (found / artifact.TREE).exists():
        raise BadEvidence(
            f"{path} holds no ledger. A run with --out leaves one, unless no answer was marked."
        )
    return found


def _victim(stage: Path) -> suspects.Found | None:
    return suspects.find(stage) if stage.exists() else None


def _court(case: Case, found: Exhibit) -> Experiment:
    """Return a run with nothing in it but the ledger."""
    origin = found.origin
    images = torch.empty(0, *origin.image_shape, device=case.device)
    store = MemoryStore()
    store.ledger.load(found.ledger.dump())
    nothing = Split(images, torch.empty(0, dtype=torch.int64, device=case.device))
    return Experiment(
        train=nothing,
        validation=nothing,
        test=nothing,
        pool=images,
        seeds=images,
        num_classes=origin.num_classes,
        new_model=_no_model,
        new_substitute=_no_model,
        labels=origin.labels,
        owner_queries=case.owner_queries,
        device=case.device,
        threads=case.threads,
        spec={"dataset": origin.dataset},
        store=store,
    )


def _no_model() -> nn.Module:
    raise BadOption("A verifier of finished runs trains no models.")


def _verifier(
    case: Case, court: Experiment, plugin: Any, found: Exhibit, victim: suspects.Found | None
) -> dict[str, Verifier]:
    """Return the verifier by its name; its victim is the registered one."""
    pm = manager({case.verifier: plugin})
    maker = next(iter(makers(pm, HOOK, ())), None)
    if maker is None:
        raise BadOption(f"{case.verifier!r} has no verify phase. Name a defense that has one.")
    wanted = "victim" in maker.argnames
    if wanted and victim is None:
        raise BadEvidence(
            f"{case.verifier!r} needs the victim. Give the run's own folder as --ledger."
        )
    model = _net(case, found, victim) if wanted and victim else None
    arguments = {"run": court.for_defense(case.verifier, plugin), "victim": model}
    made: dict[str, Verifier] = ask(pm, HOOK, lambda _: arguments)
    return made


def _found(path: Path) -> suspects.Found:
    if not path.exists():
        raise BadEvidence(f"{path} is not there. Give a file of weights, or a stage of a run.")
    return suspects.find(path)


def _model(case: Case, found: Exhibit, given: suspects.Found) -> str:
    """Return the name of an architecture: the one of the weights, --model, or the victim's."""
    name = given.model or case.model or found.origin.model
    if name is None:
        raise BadEvidence(f"The architecture of {given.source} is unknown. Give --model.")
    return name


def _net(case: Case, found: Exhibit, given: suspects.Found) -> nn.Module:
    """Return a model with the given weights."""
    origin, name = found.origin, _model(case, found, given)
    known = given.options if given.model else origin.options if name == origin.model else {}
    size = Size(origin.num_classes, origin.image_shape)
    net = suspects.build(given, name, {**known, **case.options.get(name, {})}, size)
    return net.to(case.device)


def _refuse_strangers(case: Case, models: Sequence[str]) -> None:
    """Refuse options of what has no part in this case."""
    known = {case.verifier, *models}
    for stranger in sorted(set(case.options) - known):
        raise UnknownName("plugin of this case", stranger, known, option=f"{stranger}.")


def _told(found: Exhibit, plugin: str) -> dict[str, int]:
    pairs = found.ledger.pairs(plugin=plugin)
    return {"marked": len(pairs), "clients": len(set(pairs.clients))}


def _registered(found: Registration | None, with_victim: bool) -> dict[str, Any] | None:
    if found is None:
        return None
    victim = "fits" if with_victim else "not at hand"
    return {"time": found.time, "digest": found.digest, "ledger": "fits", "victim": victim}
