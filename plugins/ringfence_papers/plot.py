"""A filled table as a plot: what was measured filled, what was published hollow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ringfence.errors import RingfenceError
from ringfence_papers.filled import Filled
from ringfence_papers.table import Column

#: of Okabe and Ito, "Color Universal Design", 2008: told apart by most people
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
MARKERS = "osD^vP"


def draw(filled: Filled, target: Path) -> Path:
    """Write the plot of a table as SVG; the same figures give the same bytes."""
    try:
        import matplotlib
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise RingfenceError(
            "Plots need matplotlib. Install the extra: pip install 'ringfence[report]'."
        ) from error
    lines = filled.table.plot == "lines"
    with matplotlib.rc_context({"svg.hashsalt": "ringfence", "font.size": 9}):
        height = 3.2 if lines else 1.2 + 0.34 * len(_shown(filled))
        figure = Figure(figsize=(6.4, height), layout="constrained")
        axes = figure.subplots()
        (_lines if lines else _dots)(filled, axes)
        axes.set_title(f"{filled.table.source}: {filled.table.title}", fontsize=9)
        figure.savefig(target, format="svg", metadata={"Date": None, "Creator": None})
    return target


def _dots(filled: Filled, axes: Any) -> None:
    """Draw a line of dots per row, the first row on top."""
    shown = _shown(filled)
    for number, column in enumerate(_unit(filled)):
        color, marker = COLORS[number % len(COLORS)], MARKERS[number % len(MARKERS)]
        for height, place in enumerate(shown):
            printed = filled.published(place, column.name)
            if printed is not None:
                axes.plot(printed, height, marker, mfc="none", mec=color, ms=6)
            found = filled.cells[place][column.name].spread
            if found:
                axes.errorbar(
                    100 * found.mean, height, xerr=100 * (found.half or 0), fmt=marker,
                    color=color, ms=5, capsize=2, lw=1,
                )  # fmt: skip
        axes.plot([], [], marker, color=color, ms=5, label=column.name)
    axes.plot([], [], "o", mfc="none", mec="0.3", ms=6, label="published")
    axes.set_yticks(range(len(shown)), [_row(filled, place) for place in shown])
    axes.invert_yaxis()
    axes.set_xlabel("percent; bars: 95 % intervals over seeds")
    axes.grid(axis="x", color="0.9")
    axes.legend(fontsize=8, loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False)


def _lines(filled: Filled, axes: Any) -> None:
    """Draw a line per column over the last value of the rows."""
    for number, column in enumerate(_unit(filled)):
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


def _unit(filled: Filled) -> list[Column]:
    return [column for column in filled.table.columns if column.percent]


def _shown(filled: Filled) -> list[int]:
    """Return the places of the rows of which something was measured."""
    return [p for p, cells in enumerate(filled.cells) if any(c.seeds for c in cells.values())]


def _row(filled: Filled, place: int) -> str:
    return " ".join(str(value) for value in filled.table.rows[place].at.values())
