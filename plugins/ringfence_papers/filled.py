"""A table with what was measured: a cell has one figure per seed, and marks of what differs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from attrs import define, field, frozen

from ringfence import grid
from ringfence_papers.cells import Asked, paper_budget, paper_model, wanted
from ringfence_papers.figures import figure
from ringfence_papers.results import Result, Results
from ringfence_papers.spread import Spread, spread
from ringfence_papers.study import Study
from ringfence_papers.table import Column, Row, Table

SEEDS = 3  #: fewer are marked


@frozen
class Cell:
    """One figure of one row: by seed; nothing measured is an empty one."""

    seeds: Mapping[int, float] = field(factory=dict)
    marks: tuple[str, ...] = ()
    files: tuple[str, ...] = ()

    @property
    def spread(self) -> Spread | None:
        """Mean and interval over the seeds."""
        return spread(list(self.seeds.values()))


@define(eq=False)
class Filled:
    """A table, and its cells by the place of row and column."""

    study: Study
    name: str
    table: Table
    cells: list[dict[str, Cell]]
    #: by row: those behind the first column that has any
    runs: list[list[Result]] = field(factory=list)

    def published(self, row: int, column: str) -> float | None:
        """Return what the paper printed."""
        return self.table.rows[row].published.get(column)

    @property
    def shown(self) -> list[int]:
        """The places of the rows of which something was measured."""
        return [p for p, row in enumerate(self.cells) if any(cell.seeds for cell in row.values())]

    @property
    def files(self) -> list[str]:
        """The names of the result files behind it."""
        return sorted({name for row in self.cells for cell in row.values() for name in cell.files})


def fill(study: Study, name: str, results: Results, asked: Asked) -> Filled:
    """Return a table of a study with all that is finished."""
    table = study.table(name)
    plans = {sweep: grid.read(study.sweep(sweep)) for sweep in table.sweeps}
    found: dict[tuple[int, str, int, str], dict[int, tuple[str, Result]]] = {}
    places = {id(row): place for place, row in enumerate(table.rows)}
    for row, column, number, sweep, run in wanted(study, table, plans, asked):
        if told := results.of(folder(study, run.named, sweep), run):
            key = (places[id(row)], column.name, number, sweep)
            found.setdefault(key, {})[run.named.get("seed", 0)] = told
    cells = [
        {column.name: _cell(study, table, place, row, column, found) for column in table.columns}
        for place, row in enumerate(table.rows)
    ]
    return Filled(study, name, table, cells, _runs(table, found))


def _runs(table: Table, found: Mapping[Any, Any]) -> list[list[Result]]:
    """Return the results of every row, by seed."""
    runs: list[list[Result]] = [[] for _ in table.rows]
    for (place, *_), told in found.items():
        runs[place] = runs[place] or [result for _, (_, result) in sorted(told.items())]
    return runs


def folder(study: Study, named: Mapping[str, Any], sweep: str) -> str:
    """Return where below the output folder the runs of a sweep lie."""
    return str(Path(str(named.get("dataset")), sweep))


def _cell(
    study: Study, table: Table, place: int, row: Row, column: Column, found: Mapping[Any, Any]
) -> Cell:
    """Return the cell; of several alternatives the one with the least mean."""
    several = []
    for number in range(len(column.best_of) or 1):
        keys = [(place, column.name, number, sweep) for sweep in table.sweeps]
        runs: dict[int, tuple[str, Result]] = next((found[k] for k in keys if k in found), {})
        several.append(_of_runs(study, column, runs))
    known = [cell for cell in several if cell.seeds]
    return min(known, key=lambda cell: fmean(cell.seeds.values()), default=Cell())


def _of_runs(study: Study, column: Column, runs: Mapping[int, tuple[str, Result]]) -> Cell:
    values = {seed: figure(result, column.value) for seed, (_, result) in sorted(runs.items())}
    seeds = {seed: value for seed, value in values.items() if value is not None}
    if not seeds:
        return Cell()
    told = [result["run"] for seed, (_, result) in runs.items() if seed in seeds]
    marks = [*_marks(study, told), *([f"seeds: {len(seeds)}"] if len(seeds) < SEEDS else [])]
    return Cell(seeds, tuple(dict.fromkeys(marks)), tuple(name for name, _ in runs.values()))


def _marks(study: Study, runs: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yield what is other than in the paper."""
    for run in runs:
        model, budget = paper_model(study, run), paper_budget(study, run)
        if model and run["model"] != model:
            yield f"model: {run['model']}"
        if budget and run["budget"] != budget:
            yield f"budget x{run['budget'] / budget:.2g}"
        yield from (mark for mark in run.get("marks", ()) if mark == "subset")
