"""A filled table as a plot: what was measured filled, what was published hollow."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import numpy as np

from ringfence.errors import RingfenceError
from ringfence_papers.filled import Filled
from ringfence_papers.spread import Spread
from ringfence_papers.table import Column

#: of Okabe and Ito, "Color Universal Design", 2008: told apart by most people
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#999999")
MARKERS = "osD^vPX*"
SPREAD = 0.6  #: of the room of a row, over its columns, so that bars do not hide each other


def drawn(filled: Filled) -> bytes:
    """Return the plot of a table as SVG; the same figures give the same bytes."""
    try:
        import matplotlib
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise RingfenceError(
            "Plots need matplotlib. Install the extra: pip install 'ringfence[report]'."
        ) from error
    target = BytesIO()
    lines = filled.table.plot == "lines"
    with matplotlib.rc_context({"svg.hashsalt": "ringfence", "font.size": 9}):
        height = 3.2 if lines else 1.2 + 0.55 * len(_shown(filled))
        figure = Figure(figsize=(7.2, height), layout="constrained")
        axes = figure.subplots()
        (_lines if lines else _dots)(filled, axes)
        figure.suptitle(f"{filled.table.title} ({filled.table.source})", fontsize=9, wrap=True)
        figure.savefig(target, format="svg", metadata={"Date": None, "Creator": None})
    return target.getvalue()


def _dots(filled: Filled, axes: Any) -> None:
    """Draw a line of dots per row, the first row on top."""
    shown, columns = _shown(filled), _alike(filled)
    for number, column in enumerate(columns):
        color, marker = COLORS[number % len(COLORS)], MARKERS[number % len(MARKERS)]
        shift = SPREAD * ((number + 0.5) / len(columns) - 0.5)
        for height, place in zip(np.arange(len(shown)) + shift, shown, strict=True):
            printed = filled.published(place, column.name)
            if printed is not None:
                axes.plot(printed, height, marker, mfc="none", mec=color, ms=6)
            found = filled.cells[place][column.name].spread
            if found:
                axes.errorbar(
                    100 * found.mean, height, xerr=_bar(found), fmt=marker,
                    color=color, ms=5, capsize=2, lw=1,
                )  # fmt: skip
        axes.plot([], [], marker, color=color, ms=5, label=column.name)
    axes.plot([], [], "o", mfc="none", mec="0.3", ms=6, label="published")
    axes.set_yticks(range(len(shown)), [_row(filled, place) for place in shown])
    axes.invert_yaxis()
    axes.set_xlabel("percent; bars: 95 % intervals over seeds, or their range (see the table)")
    axes.grid(axis="x", color="0.9")
    axes.legend(fontsize=8, loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False)


def _bar(found: Spread) -> list[list[float]]:
    """Return how far to the left and to the right a bar reaches, as the table has it."""
    half = 100 * (found.half or 0)
    if not found.leaves_shares:
        return [[half], [half]]
    return [[100 * (found.mean - found.least)], [100 * (found.greatest - found.mean)]]


def _lines(filled: Filled, axes: Any) -> None:
    """Draw a line per column over the last value of the rows."""
    for number, column in enumerate(c for c in filled.table.columns if c.percent):
        points = [
            (list(row.at.values())[-1], spread.mean)
            for row, cells in zip(filled.table.rows, filled.cells, strict=True)
            if (spread := cells[column.name].spread)
        ]
        axes.plot(
            [x for x, _ in points], [100 * y for _, y in points],
            f"-{MARKERS[number % len(MARKERS)]}", color=COLORS[number % len(COLORS)], ms=4,
            label=column.name,
        )  # fmt: skip
    axes.set_xlabel(list(filled.table.rows[0].at)[-1])
    axes.set_ylabel("percent")
    axes.grid(color="0.9")
    axes.legend(fontsize=8, frameon=False)


def _alike(filled: Filled) -> list[Column]:
    """Return the columns that hold the same figure as the first."""
    columns = filled.table.columns
    return [column for column in columns if column.value == columns[0].value]


def _shown(filled: Filled) -> list[int]:
    """Return the places of the rows of which something was measured."""
    return [p for p, cells in enumerate(filled.cells) if any(c.seeds for c in cells.values())]


def _row(filled: Filled, place: int) -> str:
    return " ".join(str(value) for value in filled.table.rows[place].at.values())
