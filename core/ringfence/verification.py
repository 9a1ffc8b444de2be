"""Judge a suspect by the ledger of a finished run, beside innocent controls.

Nothing of the run is needed but the ledger that it left: verifiers that want the data find none,
and the victim only where the run's own folder is at hand.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ringfence import artifact, device, exhibit, plugins, registration, suspects
from ringfence.case import Case, named, parts, rebuilt, refuse_strangers
from ringfence.errors import BadEvidence, BadOption
from ringfence.evidence import judge
from ringfence.exhibit import Exhibit
from ringfence.experiment import Experiment
from ringfence.memorystore import MemoryStore
from ringfence.protocols import Endpoint, Exhibitor, Verifier
from ringfence.registration import Registration
from ringfence.reports import report_of
from ringfence.selection import ask, makers, manager
from ringfence.types import Split

HOOK = "make_verifier"


def verify(case: Case) -> dict[str, Any]:
    """Return the evidence against the suspect and against each control, as plain values."""
    device.use(case.device, case.threads)
    plugin = plugins.build("defenses", case.verifier, case.options.get(case.verifier))
    found, victim, registered = _evidence(case)
    court = _court(case, found)
    verifiers = _verifier(case, court, plugin, found, victim)
    given = [named(case, one) for one in (case.suspect, *case.controls)]
    refuse_strangers(case, parts(case, found, given))
    asked = [one if isinstance(one, Endpoint) else rebuilt(case, found, one) for one in given]
    suspect, *others = asked
    controls = [(f"control:{name}", one) for name, one in zip(case.controls, others, strict=True)]
    evidence = judge(court, verifiers, suspect, controls)
    evidence[0]["suspect"] = case.suspect
    return {
        "verifier": case.verifier,
        "ledger": _told(found, case.verifier),
        "registration": _registered(registered, victim is not None),
        "evidence": evidence,
        "report": report_of(verifiers[case.verifier]),
    }


def _evidence(case: Case) -> tuple[Exhibit, suspects.Found | None, Registration | None]:
    """Return the ledger, and of a run's folder the victim and the registration, checked."""
    kind, colon, _ = case.ledger.partition(":")
    if colon and kind in plugins.installed("stores") and not Path(case.ledger).exists():
        return _stored(case.ledger, case.options.get(kind)), None, None
    folder = _ledger_folder(Path(case.ledger))
    found = exhibit.load(folder, case.device)
    victim = _victim(folder.parent / "stages" / "victim")
    registered = registration.read(folder.parent / registration.FILE)
    if registered:
        registration.check(registered, found.ledger, victim.weights if victim else None)
    return found, victim, registered


def _stored(name: str, options: Mapping[str, Any] | None) -> Exhibit:
    """Return the ledger of a store that knows where it comes from."""
    store = plugins.build("stores", name, options)
    if not isinstance(store, Exhibitor):
        raise BadEvidence(f"{name} keeps no evidence. Give a run's --out, or another store.")
    return store.exhibit()


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
    model = rebuilt(case, found, victim) if wanted and victim else None
    arguments = {"run": court.for_defense(case.verifier, plugin), "victim": model}
    made: dict[str, Verifier] = ask(pm, HOOK, lambda _: arguments)
    return made


def _told(found: Exhibit, plugin: str) -> dict[str, int]:
    pairs = found.ledger.pairs(plugin=plugin)
    return {"marked": len(pairs), "clients": len(set(pairs.clients))}


def _registered(found: Registration | None, with_victim: bool) -> dict[str, Any] | None:
    if found is None:
        return None
    victim = "fits" if with_victim else "not at hand"
    return {"time": found.time, "digest": found.digest, "ledger": "fits", "victim": victim}
