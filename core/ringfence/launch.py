"""Run what a user selected: the undefended run beside it if wanted, in a folder if given."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import attrs

from ringfence import options
from ringfence.cache import opened
from ringfence.choice import Choice
from ringfence.experiment import Experiment
from ringfence.folder import RunFolder
from ringfence.history import remember
from ringfence.identity import identity
from ringfence.pipeline import run_experiment
from ringfence.registration import Registry
from ringfence.setup import prepare
from ringfence.stages import Stages


def launch(
    named: Mapping[str, Any],
    out: Path | None = None,
    *,
    with_baseline: bool = False,
    patience: float = 0.0,
) -> dict[str, Any]:
    """Return the result of the run whose :class:`Choice` has the fields ``named``.

    With ``out``, a finished result is returned as it is, and a killed run is gone on with; who
    still holds the folder has ``patience`` seconds to end.
    """
    choice = Choice(**options.check(options.RUN, Choice, named))
    run, selected = prepare(choice)
    folder = RunFolder(out) if out else None
    told = identity(run, tuple(selected), choice.skip)
    with folder.claimed(told, patience) if folder else nullcontext():
        if folder and (finished := folder.result(told)) is not None:
            return finished
        baseline = None
        if with_baseline and choice.defense:
            baseline = _undefended(choice, run, _stages(folder, "baseline", run))
        result = run_experiment(
            run,
            selected,
            skip=choice.skip,
            stages=_stages(folder, "stages", run),
            baseline=baseline,
            registry=Registry(out) if out else None,
        )
        if folder:
            folder.finish(result)
    remember(opened(choice.cache).shared, result)
    return result


def _undefended(choice: Choice, run: Experiment, stages: Stages) -> dict[str, Any]:
    plain = attrs.evolve(choice, defense=(), skip=(), options=_without(choice))
    undefended, attackers = prepare(plain)
    return run_experiment(attrs.evolve(undefended, cache=run.cache), attackers, stages=stages)


def _without(choice: Choice) -> dict[str, Mapping[str, Any]]:
    """Return the options, but for those of the defenses."""
    return {name: given for name, given in choice.options.items() if name not in choice.defense}


def _stages(folder: RunFolder | None, name: str, run: Experiment) -> Stages:
    return folder.stages(name, run.device) if folder else Stages()
