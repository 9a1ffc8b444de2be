"""What stands behind the guard: the victim of a run, the operator's weights, another server."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs
from attrs import frozen
from torch import nn

from ringfence import artifact, options, suspects
from ringfence.choice import Choice
from ringfence.errors import BadEvidence
from ringfence.experiment import Experiment
from ringfence.folder import RESULT, RUN
from ringfence.protocols import Store
from ringfence.setup import prepare
from ringfence.suspects import Size
from ringfence.victims import Victim, given_victim, load_victim
from ringfence_serve import chosen
from ringfence_serve.chosen import Options
from ringfence_serve.upstream import Upstream

LIMIT = 4 << 30  #: bytes of a stage's file


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
    told = chosen.read(folder / RUN)
    stage = folder / "stages" / "victim"
    if not stage.exists():
        raise BadEvidence(f"{folder} holds no victim. Give the --out of a finished run.")
    named = {**chosen.named(told, own), **given}
    choice = Choice(**options.check(options.RUN, Choice, named))
    run, selected = prepare(choice)
    run = attrs.evolve(run, store=store)
    victim = load_victim(run, artifact.load(stage, run.device, LIMIT)["value"])
    result = chosen.read(folder / RESULT) if (folder / RESULT).exists() else {}
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
