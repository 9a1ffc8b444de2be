"""Names written at what they name, none over another."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from matplotlib.axes import Axes

from ringfence_bench.plots.look import FAINT, short

Point = tuple[float, float, str]
HEIGHT = 0.06  #: of a line of text, as a share of the axes
ABOVE = 0.045  #: a point is named a little higher, clear of the front's line
LETTER = 0.021  #: the width of a letter, likewise


def beside(axes: Axes, ends: Sequence[Point], last: float) -> None:
    """Name the ends of lines to the right of ``last``, with a thin line to each."""
    places = apart([_up(axes, y) for _, y, _ in ends])
    start = _across(axes, last) + 0.09
    for (x, y, name), place in zip(ends, places, strict=True):
        axes.annotate(
            short(name, 24), (x, y), (start, place), textcoords="axes fraction", size=9,
            va="center", arrowprops={"arrowstyle": "-", "color": FAINT, "lw": 0.5, "shrinkB": 6},
        )  # fmt: skip


def around(axes: Axes, points: Sequence[Point]) -> None:
    """Name points on the side where there is room, moved up or down where names would meet."""
    for left in (False, True):
        own = [p for p in points if _overflows(axes, p) == left]
        places = apart([_up(axes, y) + ABOVE for _, y, _ in own])
        for (x, y, name), place in zip(own, places, strict=True):
            across = _across(axes, x) + (-0.05 if left else 0.05)
            axes.annotate(
                short(name, 30), (x, y), (across, place), textcoords="axes fraction", size=9,
                va="center", ha="right" if left else "left",
                arrowprops={"arrowstyle": "-", "color": FAINT, "lw": 0.5, "shrinkB": 5},
            )  # fmt: skip


def _overflows(axes: Axes, point: Point) -> bool:
    """Return whether a name to the right of the point would leave the plot."""
    across = _across(axes, point[0])
    return across > 0.5 and across + 0.05 + LETTER * len(short(point[2], 30)) > 1


def apart(places: Sequence[float], gap: float = HEIGHT) -> list[float]:
    """Return heights in [0, 1] at least ``gap`` apart, in the same order, as near as is easy."""
    order = sorted(range(len(places)), key=lambda i: (places[i], i))
    moved = [min(max(p, 0.0), 1.0) for p in places]
    for before, after in pairwise(order):
        moved[after] = max(moved[after], moved[before] + gap)
    ceiling = 1.0
    for i in reversed(order):
        moved[i] = min(moved[i], ceiling)
        ceiling = moved[i] - gap
    return moved


def _up(axes: Axes, y: float) -> float:
    low, high = axes.get_ylim()
    return (y - low) / (high - low)


def _across(axes: Axes, x: float) -> float:
    place: float = axes.transAxes.inverted().transform(axes.transData.transform((x, 0)))[0]
    return place
