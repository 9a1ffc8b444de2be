"""A table as lines: one per column, over the last value that says where a row is."""

from __future__ import annotations

from typing import Any

from ringfence_papers.filled import Filled
from ringfence_papers.look import bar, color, marker
from ringfence_papers.spread import Spread

WIDE = 20  #: greatest over least value from which on the axis is logarithmic

Points = list[tuple[float, Spread]]


def draw(filled: Filled, figure: Any) -> None:
    """Draw the columns that are shares; where the table says so, a rule at the best of one."""
    axes = figure.subplots()
    for number, column in enumerate(c for c in filled.table.columns if c.percent):
        points = _points(filled, column.name)
        for x, spread in points:
            axes.errorbar(
                x, 100 * spread.mean, yerr=bar(spread), color=color(number), capsize=2, lw=1
            )
        axes.plot(
            [x for x, _ in points], [100 * spread.mean for _, spread in points],
            f"-{marker(number)}", color=color(number), ms=4, label=column.name,
        )  # fmt: skip
    _rule(filled, axes)
    _scale(filled, axes)
    axes.set_ylabel("percent")
    axes.grid(color="0.9")
    axes.legend(fontsize=8, frameon=False)


def _points(filled: Filled, column: str) -> Points:
    return [
        (x, spread)
        for x, cells in zip(_places(filled), filled.cells, strict=True)
        if (spread := cells[column].spread)
    ]


def _places(filled: Filled) -> list[float]:
    return [list(row.at.values())[-1] for row in filled.table.rows]


def _rule(filled: Filled, axes: Any) -> None:
    """Mark where the mean of the column ``best`` is greatest."""
    best = filled.table.best
    if best and (points := _points(filled, best)):
        x, _ = max(points, key=lambda point: point[1].mean)
        axes.axvline(x, color="0.5", ls="--", lw=1, label=f"best {best}: {x:g}")


def _scale(filled: Filled, axes: Any) -> None:
    """Name the axis, and give far values room for near ones."""
    places = _places(filled)
    if min(places) > 0 and max(places) >= WIDE * min(places):
        axes.set_xscale("log")
        axes.set_xticks(places, [f"{x:g}" for x in places], minor=False)
        axes.minorticks_off()
    axes.set_xlabel(list(filled.table.rows[0].at)[-1])
