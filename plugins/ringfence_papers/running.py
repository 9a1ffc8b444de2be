"""Do the runs of a table that are not finished yet, sweep by sweep."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import attrs

from ringfence import grid, plugins
from ringfence.commands.board import board
from ringfence.sweep import Sweep, Tally
from ringfence_papers.cells import Asked, wanted
from ringfence_papers.filled import folder
from ringfence_papers.study import Study


def sweeps(study: Study, name: str, out: Path, dataset: str, asked: Asked) -> Iterator[Sweep]:
    """Yield the sweeps of a table, cut to the runs that its rows on one data set need."""
    table = study.table(name)
    plans = {sweep: grid.read(study.sweep(sweep)) for sweep in table.sweeps}
    for sweep in table.sweeps:
        found = {
            run.id: run
            for row, _, _, own, run in wanted(study, table, plans, asked)
            if own == sweep and row.at.get("dataset", dataset) == dataset
        }
        runs = tuple(run for run in found.values() if run.named.get("dataset") == dataset)
        if runs:
            place = out / folder(study, runs[0].named, sweep)
            yield Sweep(attrs.evolve(plans[sweep], runs=runs, excluded=()), place)


def do(sweep: Sweep, jobs: int | None, executor: str) -> Tally:
    """Do what is left of a sweep."""
    made = plugins.build("executors", executor, {"jobs": jobs} if jobs else {})
    with board(sweep, made) as watch:
        return sweep.run(made, watch=watch)
