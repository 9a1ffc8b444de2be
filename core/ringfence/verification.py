"""Judge a suspect by the ledger of a finished run, beside innocent controls.

Nothing of the run is needed but the ledger that it left: verifiers that want the data find none,
and the victim only where the run's own folder is at hand.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
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
from ringfence.protocols import Endpoint, Exhibitor, OracleSource, Verifier
from ringfence.registration import Registration
from ringfence.reports import report_of
from ringfence.selection import ask, makers, manager
from ringfence.store import MemoryStore
from ringfence.suspects import Size
from ringfence.types import Split

Options = Mapping[str, Mapping[str, Any]]
HOOK = "make_verifier"


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


def verify(case: Case) -> dict[str, Any]:
    """Return the evidence against the suspect and against each control, as plain values."""
    device.use(case.device, case.threads)
    plugin = plugins.build("defenses", case.verifier, case.options.get(case.verifier))
    found, victim, registered = _evidence(case)
    court = _court(case, found)
    verifiers = _verifier(case, court, plugin, found, victim)
    given = [_found(case, one) for one in (case.suspect, *case.controls)]
    _refuse_strangers(case, _names(case, found, given))
    asked = [one if isinstance(one, Endpoint) else _net(case, found, one) for one in given]
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
    model = _net(case, found, victim) if wanted and victim else None
    arguments = {"run": court.for_defense(case.verifier, plugin), "victim": model}
    made: dict[str, Verifier] = ask(pm, HOOK, lambda _: arguments)
    return made


def _found(case: Case, name: str) -> suspects.Found | Endpoint:
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


def _names(case: Case, found: Exhibit, given: Sequence[suspects.Found | Endpoint]) -> list[str]:
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
