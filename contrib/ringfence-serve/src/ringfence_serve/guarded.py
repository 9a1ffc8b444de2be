"""What stands behind the guard: the victim of a run, the operator's weights, another server."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs
import cattrs
from attrs import frozen
from torch import nn

from ringfence import artifact, options, plugins, recipe, suspects
from ringfence.choice import Choice
from ringfence.errors import BadEvidence, BadOption
from ringfence.experiment import Experiment
from ringfence.folder import RESULT, RUN
from ringfence.protocols import Store
from ringfence.setup import prepare
from ringfence.suspects import Size
from ringfence.victims import Victim, given_victim, load_victim
from ringfence_serve.upstream import Upstream

Options = Mapping[str, Mapping[str, Any]]
LIMIT = 4 << 30  #: bytes of a stage's file
#: where a name of a run is looked up
KINDS = {"defense": "defenses", "attack": "attacks", "recovery": "attacks", "dataset": "datasets"}
KINDS |= {"model": "models", "substitute": "models", "pool": "datasets", "outliers": "datasets"}
#: values of a run that are taken over as they are
TAKEN = ("labels", "budget", "benign_clients", "attacker_clients", "seed", "device", "threads")


@frozen(eq=False)
class Guarded:
    """A victim with what its defenses need to know."""

    run: Experiment
    selected: Mapping[str, Any]
    skip: tuple[str, ...]
    victim: Victim
    source: str
    cost: int | None = None  #: queries with which this model was stolen in its run

    @property
    def defenses(self) -> dict[str, Any]:
        """The selected plugins that defend."""
        hooks = ("make_trainer", "make_detector", "make_responder", "make_verifier")
        return {n: p for n, p in self.selected.items() if any(hasattr(p, hook) for hook in hooks)}


def of_run(folder: Path, store: Store, given: Mapping[str, Any], own: Options) -> Guarded:
    """Return the victim of the finished run in ``folder``.

    ``given``: fields of the run's choice that are to differ, such as where its data lie.
    """
    told = _read(folder / RUN)
    stage = folder / "stages" / "victim"
    if not stage.exists():
        raise BadEvidence(f"{folder} holds no victim. Give the --out of a finished run.")
    named = {**_named(told, own), **given}
    choice = Choice(**options.check(options.RUN, Choice, named))
    run, selected = prepare(choice)
    run = attrs.evolve(run, store=store)
    victim = load_victim(run, artifact.load(stage, run.device, LIMIT)["value"])
    result = _read(folder / RESULT) if (folder / RESULT).exists() else {}
    cost = result.get("attack", {}).get("queries")
    return Guarded(run, selected, choice.skip, victim, "run", cost)


def of_file(file: Path, store: Store, given: Mapping[str, Any], own: Options) -> Guarded:
    """Return the operator's model: weights of the architecture ``given["model"]``."""
    choice, run, selected = _prepared(store, given, own)
    name = choice.model or run.spec["model"]
    size = Size(run.num_classes, run.image_shape)
    net = suspects.build(suspects.find(file), name, own.get(name, {}), size)
    return _given(choice, run, selected, net, "file")


def of_upstream(url: str, store: Store, given: Mapping[str, Any], own: Options) -> Guarded:
    """Return a model that another server asks: probabilities in, nothing else is known of it."""
    choice, run, selected = _prepared(store, given, own)
    return _given(choice, run, selected, Upstream(url, run.num_classes), "upstream")


def _prepared(
    store: Store, given: Mapping[str, Any], own: Options
) -> tuple[Choice, Experiment, Mapping[str, Any]]:
    choice = Choice(**options.check(options.RUN, Choice, {**given, "options": own}))
    run, selected = prepare(choice)
    return choice, attrs.evolve(run, store=store), selected


def _given(
    choice: Choice, run: Experiment, selected: Mapping[str, Any], model: nn.Module, source: str
) -> Guarded:
    known = attrs.evolve(run, given=model.to(run.device))
    return Guarded(known, selected, choice.skip, given_victim(known, model), source)


def _read(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadEvidence(
            f"{file} cannot be read ({error}). Give the folder of a run that was made with --out."
        ) from error
    if not isinstance(found, dict):
        raise BadEvidence(f"{file} is not what a run writes.")
    return found


def _named(told: Mapping[str, Any], own: Options) -> dict[str, Any]:
    """Return the fields of the choice that made a run."""
    named = {name: told[name] for name in (*TAKEN, *KINDS, "skip") if told.get(name) is not None}
    given = {recipe.NAME: told["recipe"]}
    for role, kind in KINDS.items():
        for name in _names(told.get(role)):
            base = name.partition(":")[0]
            if base in plugins.installed(kind) and base in told["options"]:
                given[base] = _chosen(kind, base, told["options"][base], own.get(base, {}))
    merged = {
        name: {**values, **own.get(name, {})}
        for name, values in (given | own_only(own, given)).items()
    }
    return {**named, "options": {name: values for name, values in merged.items() if values}}


def own_only(own: Options, given: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the options of plugins that the run did not mention."""
    return {name: dict(values) for name, values in own.items() if name not in given}


def _names(value: Any) -> list[str]:
    return [] if value is None else [value] if isinstance(value, str) else list(value)


def _chosen(
    kind: str, name: str, told: Mapping[str, Any], own: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the options of a run that are not defaults; a secret must be given again."""
    fields = options.settable(plugins.load(plugins.find(kind, name)))
    chosen = {}
    for option, value in told.items():
        field = fields.get(option)
        if field is None or option in own:
            continue
        if field.metadata.get(options.SECRET):
            if value is not None:
                raise BadOption(
                    f"The run had a secret {name}.{option}, which no result holds. Give it again: "
                    f"-o {name}.{option}=...",
                    option=f"{name}.{option}",
                )
            continue
        if value != cattrs.unstructure(options.describe(option, field)["default"]):
            chosen[option] = value
    return chosen
