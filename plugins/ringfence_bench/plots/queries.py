"""Substitute accuracy against queries, where several budgets were run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import groupby

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ringfence_bench.plots.labels import beside
from ringfence_bench.plots.look import FAINT, INK, WIDTH, Look
from ringfence_bench.statistics.attackers import apart
from ringfence_bench.statistics.cells import Cell
from ringfence_bench.statistics.spread import Spread

Panel = tuple[str, Callable[[], Figure]]
Line = list[tuple[int, Spread]]


def panels(cells: Sequence[Cell], looks: Mapping[str, Look]) -> list[Panel]:
    """Return a panel per setting, attacker and labels that has a line of two budgets."""
    found: list[Panel] = []
    fit = [c for c in cells if c.accuracy and c.budget]
    fit.sort(key=_panel)
    rest = apart(c.who for c in fit)
    for (setting, attacker, labels, *_), panel in groupby(fit, key=_panel):
        group = list(panel)
        lines: dict[str, Line] = {}
        for c in sorted(group, key=lambda c: (c.defender, c.budget or 0)):
            if c.budget and c.accuracy:
                lines.setdefault(c.defender, []).append((c.budget, c.accuracy))
        if any(len(line) > 1 for line in lines.values()):
            title = f"{setting}: {attacker}, {labels or 'unknown'} labels{rest[group[0].who]}"
            found.append((title, partial(_draw, lines, looks)))
    return found


def _panel(c: Cell) -> tuple[str, ...]:
    means = (c.labels, c.pool, c.substitute, c.attacker_clients)
    return (c.setting, c.attacker, *(str(one or "") for one in means))


def _draw(lines: Mapping[str, Line], looks: Mapping[str, Look]) -> Figure:
    figure = Figure(figsize=(WIDTH, 3.3))
    axes = figure.add_axes((0.14, 0.16, 0.83, 0.8))
    budgets = sorted({budget for line in lines.values() for budget, _ in line})
    axes.set(xlabel="queries", ylabel="substitute accuracy")
    _scale(axes, budgets)
    for number, (defender, line) in enumerate(lines.items()):
        _line(axes, line, looks[defender], 1 + 0.02 * (number - (len(lines) - 1) / 2))
    axes.grid(axis="y", color=FAINT, lw=0.4, alpha=0.6)
    ends = [(line[-1][0], line[-1][1].mean, name) for name, line in lines.items()]
    beside(axes, ends, max(budgets))
    return figure


def _scale(axes: Axes, budgets: Sequence[int]) -> None:
    """Lay budgets out by ratio, and leave room for names on the right."""
    low, high = budgets[0], budgets[-1]
    axes.set_xscale("log")
    axes.set_xlim(low / (high / low) ** 0.06, high * (high / low) ** 0.5)
    axes.set_xticks(budgets, [_thousands(b) for b in budgets])
    axes.minorticks_off()


def _line(axes: Axes, line: Line, look: Look, shift: float) -> None:
    """Draw means and intervals, a little beside those of other defenders."""
    places = [budget * shift for budget, _ in line]
    axes.plot(
        places, [s.mean for _, s in line], marker=look.marker, color=look.color, lw=1.4, ms=6,
        mec=INK, mew=0.5,
    )  # fmt: skip
    for place, (_, s) in zip(places, line, strict=True):
        if s.low is not None and s.high is not None:
            axes.plot((place, place), (s.low, s.high), color=look.color, lw=1.2, alpha=0.8)


def _thousands(budget: int) -> str:
    return f"{budget / 1000:g}k" if budget >= 1000 else str(budget)
