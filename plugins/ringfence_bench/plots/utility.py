"""Utility against protection, the Pareto front marked."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import groupby

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ringfence_bench.identities import NONE
from ringfence_bench.plots.labels import around
from ringfence_bench.plots.look import FAINT, INK, WIDTH, Look
from ringfence_bench.statistics.pareto import front
from ringfence_bench.statistics.worst import Headline

Panel = tuple[str, Callable[[], Figure]]
NAMED = 8  #: points; where there are more, only the front and the control have names
Point = tuple[float, float, str]  #: utility, substitute accuracy, defender
#: what is drawn to the right, by the sign that makes more of it better
AXES = {
    "benign": (1, "accuracy that benign clients are told"),
    "changed": (-1, "changed answers of the attacker (axis reversed)"),
}


def panels(headlines: Sequence[Headline], looks: Mapping[str, Look]) -> list[Panel]:
    """Return a panel per setting and axis that has at least two defenders."""
    found: list[Panel] = []
    for setting, group in groupby(headlines, key=lambda h: h.setting):
        own = list(group)
        for which, (_, title) in AXES.items():
            known = [(getattr(h, which), h.worst.mean, h.defender) for h in own]
            points = [p for p in known if p[0] is not None]
            if len(points) > 1 and len({p[0] for p in points}) > 1:
                found.append((f"{setting}: {title}", partial(_draw, points, which, looks)))
    return found


def _draw(points: Sequence[Point], which: str, looks: Mapping[str, Look]) -> Figure:
    sign, title = AXES[which]
    figure = Figure(figsize=(WIDTH, 3.6))
    axes = figure.add_axes((0.17, 0.15, 0.8, 0.81))
    axes.set(xlabel=title, ylabel="substitute accuracy, worst case")
    _bound(axes, points, sign)
    best = front([(sign * x, y) for x, y, _ in points])
    _front(axes, [p for p, on in zip(points, best, strict=True) if on], sign)
    for (x, y, name), on in zip(points, best, strict=True):
        look = looks[name]
        face = look.color if on else "none"
        axes.plot(x, y, look.marker, ms=8, mec=look.color if not on else INK, mfc=face, mew=1.2)
    axes.grid(color=FAINT, lw=0.4, alpha=0.6)
    around(axes, named(points, best))
    return figure


def named(points: Sequence[Point], best: Sequence[bool]) -> list[Point]:
    """Return the points that get a name: all, or of too many the front and the control."""
    few = len(points) <= NAMED
    return [p for p, on in zip(points, best, strict=True) if few or on or p[2] == NONE]


def _front(axes: Axes, points: Sequence[Point], sign: int) -> None:
    """Draw the steps of the front: what is above and left of them is beaten."""
    line = sorted((sign * x, y) for x, y, _ in points)
    axes.step([sign * x for x, _ in line], [y for _, y in line], where="pre", color=INK,
              lw=0.8, ls=(0, (4, 3)), zorder=0)  # fmt: skip


def _bound(axes: Axes, points: Sequence[Point], sign: int) -> None:
    """Leave room around the points for their names; better is to the right."""
    xs, ys = [p[0] for p in points], [p[1] for p in points]
    wide, high = max(max(xs) - min(xs), 0.002), max(max(ys) - min(ys), 0.01)
    left, right = min(xs) - 0.25 * wide, max(xs) + 0.25 * wide
    axes.set_xlim(*((left, right) if sign > 0 else (right, left)))
    axes.set_ylim(min(ys) - 0.15 * high, max(ys) + 0.2 * high)
    axes.xaxis.set_major_locator(MaxNLocator(5))
    room = 0.05 * (right - left)  # near the edge its figures would leave the plot
    axes.set_xticks([t for t in axes.get_xticks() if max(left + room, 0) <= t <= right - room])
