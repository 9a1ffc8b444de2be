"""A table as dots: a line of them per row, what was measured filled, what was published hollow."""

from __future__ import annotations

from typing import Any

import numpy as np

from ringfence_papers.filled import Filled
from ringfence_papers.look import bar, color, marker
from ringfence_papers.table import Column

SPREAD = 0.6  #: of the room of a row, over its columns, so that bars do not hide each other


def height(filled: Filled) -> float:
    """Return the inches that the rows need."""
    return 1.2 + 0.55 * len(filled.shown)


def draw(filled: Filled, figure: Any) -> None:
    """Draw the rows of which something was measured, the first on top."""
    axes = figure.subplots()
    shown, columns = filled.shown, _alike(filled)
    for number, column in enumerate(columns):
        shift = SPREAD * ((number + 0.5) / len(columns) - 0.5)
        for place, level in zip(shown, np.arange(len(shown)) + shift, strict=True):
            _dot(filled, axes, place, column, number, level)
        axes.plot([], [], marker(number), color=color(number), ms=5, label=column.name)
    axes.plot([], [], "o", mfc="none", mec="0.3", ms=6, label="published")
    axes.set_yticks(range(len(shown)), [_row(filled, place) for place in shown])
    axes.invert_yaxis()
    axes.set_xlabel("percent; bars: 95 % intervals over seeds, or their range (see the table)")
    axes.grid(axis="x", color="0.9")
    axes.legend(fontsize=8, loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False)


def _dot(filled: Filled, axes: Any, place: int, column: Column, number: int, level: float) -> None:
    printed = filled.published(place, column.name)
    if printed is not None:
        axes.plot(printed, level, marker(number), mfc="none", mec=color(number), ms=6)
    found = filled.cells[place][column.name].spread
    if found:
        axes.errorbar(
            100 * found.mean, level, xerr=bar(found), fmt=marker(number),
            color=color(number), ms=5, capsize=2, lw=1,
        )  # fmt: skip


def _alike(filled: Filled) -> list[Column]:
    """Return the columns that hold the same figure as the first."""
    columns = filled.table.columns
    return [column for column in columns if column.value == columns[0].value]


def _row(filled: Filled, place: int) -> str:
    return " ".join(str(value) for value in filled.table.rows[place].at.values())
