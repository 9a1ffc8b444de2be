"""Substitute accuracy per attack and defense, single seeds as dots."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import groupby

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ringfence_bench.plots.look import FAINT, INK, WIDTH, Look, short
from ringfence_bench.statistics.attackers import apart
from ringfence_bench.statistics.cells import Cell
from ringfence_bench.statistics.worst import Headline

Panel = tuple[str, Callable[[], Figure]]
Row = tuple[str, Cell]  #: with the name of its attacker
MOST = 60  #: rows of one plot
ROW, HEAD = 0.4, 0.32  #: inches of a row, and of an attack's name above its rows
BELOW, ABOVE = 0.5, 0.2  #: inches for the axis, and for the victim's accuracy
SEEDS = 0.07  #: inches by which single seeds are drawn below their mean


def panels(
    cells: Sequence[Cell], headlines: Sequence[Headline], looks: Mapping[str, Look]
) -> list[Panel]:
    """Return a panel per setting, labels and budget, the largest budget of each only."""
    found: list[Panel] = []
    fit = [cell for cell in cells if cell.accuracy]
    fit.sort(key=lambda c: (c.setting, c.labels or "", c.attacker, c.defender))
    for (setting, labels), group in groupby(fit, key=lambda c: (c.setting, c.labels)):
        own = list(group)
        largest = max((c.budget or 0 for c in own), default=0)
        rows = [c for c in own if (c.budget or 0) == largest]
        rest = apart(c.who for c in rows)
        rows.sort(key=lambda c: (c.attacker, rest[c.who], c.defender))
        victims = [h.victim for h in headlines if h.setting == setting and h.victim is not None]
        title = f"{setting}, {labels or 'unknown'} labels" + (
            f", {largest:,} queries" if largest else ""
        )
        if len(rows) > MOST:
            title += f" (the first {MOST} of {len(rows)} rows)"
        heads = [f"{c.attacker}{rest[c.who]}" for c in rows]
        named = list(zip(heads, rows, strict=True))[:MOST]
        found.append((title, partial(_draw, named, victims, looks)))
    return found


def _draw(rows: Sequence[Row], victims: Sequence[float], looks: Mapping[str, Look]) -> Figure:
    tall = ROW * len(rows) + HEAD * len({head for head, _ in rows})
    figure = Figure(figsize=(WIDTH, high := tall + BELOW + ABOVE))
    axes = figure.add_axes((0.03, BELOW / high, 0.94, tall / high))
    axes.set(ylim=(tall, 0), yticks=[], xlabel="substitute accuracy")
    axes.spines["left"].set_visible(False)
    _bound(axes, [cell for _, cell in rows], victims)
    place = 0.0
    for head, group in groupby(rows, key=lambda row: row[0]):
        axes.text(0, place + 0.24, short(head), weight="bold", transform=axes.get_yaxis_transform())
        place += HEAD
        for _, cell in group:
            _row(axes, place, cell, looks[cell.defender])
            place += ROW
    if victims:
        _victim(axes, max(victims))
    return figure


def _row(axes: Axes, place: float, cell: Cell, look: Look) -> None:
    """Write a defender's name, and below it its mean, interval and seeds."""
    found = cell.accuracy
    assert found is not None, "only cells with an accuracy are drawn"
    level = place + 0.26
    told = f"{short(cell.defender)}  {found.mean:.3f}"
    axes.text(0, place + 0.1, told, size=9, va="center", transform=axes.get_yaxis_transform())
    axes.axhline(level, color=FAINT, lw=0.4, alpha=0.6, zorder=0)
    if found.low is not None and found.high is not None:
        axes.plot((found.low, found.high), (level, level), color=look.color, lw=1.6, alpha=0.8)
    below = [level + SEEDS] * found.n
    axes.plot(cell.accuracies, below, "o", mec=look.color, mfc="none", ms=3, mew=0.9)
    axes.plot(
        found.mean, level, look.marker, color=look.color, ms=6, mec=INK, mew=0.5, clip_on=False
    )


def _bound(axes: Axes, rows: Sequence[Cell], victims: Sequence[float]) -> None:
    """Show all means and seeds; an interval may leave the plot rather than squeeze it."""
    known = [*victims, *(a for c in rows for a in c.accuracies)]
    room = max(0.02, 0.06 * (max(known) - min(known)))
    axes.set_xlim(max(min(known) - room, -0.01), min(max(known) + room, 1.01))


def _victim(axes: Axes, accuracy: float) -> None:
    axes.axvline(accuracy, color=INK, lw=0.8, ls=(0, (4, 3)), zorder=0)
    axes.annotate(
        f"victim {accuracy:.3f}", (accuracy, 1), (-3, 0), xycoords=("data", "axes fraction"),
        textcoords="offset points", ha="right", va="bottom", size=9,
    )  # fmt: skip
