"""Which runs fill a cell, under what is asked for: data set, model, seeds, a smaller budget."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import product
from typing import Any

import attrs
from attrs import frozen

from ringfence.choice import Choice
from ringfence.errors import BadOption
from ringfence.grid import Plan, Planned
from ringfence_papers.study import Study
from ringfence_papers.table import Column, Table, Where

Named = Mapping[str, Any]
UNSAID = attrs.asdict(Choice(), recurse=False)  #: what a run has that is not said of it


@frozen
class Asked:
    """What the user wants other than the paper has it."""

    model: str | None = None
    seeds: int | None = None
    budget_scale: float = 1.0
    device: str | None = None
    data_root: str | None = None

    def __attrs_post_init__(self) -> None:
        """Refuse a scale that gives no budget."""
        if not 0 < self.budget_scale <= 1:
            raise BadOption("--budget-scale lies above 0 and is at most 1.")


def wanted(study: Study, table: Table, plans: Mapping[str, Plan], asked: Asked) -> Iterator[Any]:
    """Yield ``(row, column, alternative, sweep, planned)`` for every run of every cell."""
    sets = dict.fromkeys(row.at.get("dataset") for row in table.rows)
    runs = {(s, d): _runs(study, plans[s], d, asked) for s in table.sweeps for d in sets}
    for row, (column, number, where), sweep in product(table.rows, _parts(table), table.sweeps):
        if all(row.at.get(name, value) == value for name, value in where.items()):
            for whole, run in runs[sweep, row.at.get("dataset")]:
                if fits(whole, {**row.at, **where}):
                    yield row, column, number, sweep, run


def _parts(table: Table) -> list[tuple[Column, int, Where]]:
    """Return the columns, each as often as it has alternatives."""
    return [
        (column, number, where)
        for column in table.columns
        for number, where in enumerate(column.best_of or (column.where,))
    ]


def _runs(
    study: Study, plan: Plan, dataset: str | None, asked: Asked
) -> list[tuple[Named, Planned]]:
    """Return the runs of a sweep on a data set, each once: unscaled, and as the user wants it."""
    found: dict[str, tuple[Named, Planned]] = {}
    for run in plan.runs:
        whole = _moved(study, run.named, dataset)
        for named in _seeded(_asked(whole, asked), asked):
            moved = Planned(named, run.point)
            found.setdefault(moved.id, (whole, moved))
    return list(found.values())


def fits(named: Named, where: Where) -> bool:
    """Return whether a run, as it is named, has all the values."""
    return all(_value(named, name) == value for name, value in where.items())


def _value(named: Named, name: str) -> Any:
    plugin, dot, option = name.partition(".")
    if dot:
        return named.get("options", {}).get(plugin, {}).get(option)
    value = named.get(name, UNSAID.get(name))
    return list(value) if isinstance(value, tuple) else value


def _moved(study: Study, named: Named, dataset: str | None) -> dict[str, Any]:
    """Return the run on another data set of the paper: its model, pool and budget go with it."""
    own = named.get("dataset")
    if dataset is None or dataset == own:
        return dict(named)
    setting = study.setting(dataset)
    moved = {**named, "dataset": dataset, **setting.run}
    budget = setting.budget.get(str(named.get("attack")))
    paper = study.setting(own).budget.get(str(named.get("attack"))) if own else None
    if budget and paper and named.get("budget"):
        moved["budget"] = round(budget * named["budget"] / paper)
    return moved


def _asked(named: Named, asked: Asked) -> dict[str, Any]:
    """Return the run as the user wants it."""
    told = {"model": asked.model, "device": asked.device, "data_root": asked.data_root}
    changed = {**named, **{name: value for name, value in told.items() if value is not None}}
    if asked.budget_scale != 1 and named.get("budget"):
        changed["budget"] = max(1, round(named["budget"] * asked.budget_scale))
    return changed


def _seeded(named: Named, asked: Asked) -> Iterator[Named]:
    """Yield the run with its own seed, or the first of a sweep's with each that is wanted."""
    if asked.seeds is None:
        yield named
    elif named.get("seed", 0) == 0:
        for seed in range(asked.seeds):
            yield {**named, "seed": seed}


def paper_budget(study: Study, run: Mapping[str, Any]) -> int | None:
    """Return the paper's budget for the run of a result file."""
    setting = study.settings.dataset.get(run["dataset"])
    return setting.budget.get(run["attack"]) if setting else None


def paper_model(study: Study, run: Mapping[str, Any]) -> str | None:
    """Return the paper's model for the run of a result file."""
    setting = study.settings.dataset.get(run["dataset"])
    return setting.paper_model if setting else None
