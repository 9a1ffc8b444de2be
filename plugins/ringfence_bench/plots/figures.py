"""Which plots a report has, in order."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from attrs import frozen
from matplotlib.figure import Figure

from ringfence_bench.analysis import Analysis
from ringfence_bench.plots import attacks, queries, utility
from ringfence_bench.plots.look import looks

MOST = 24  #: plots of one kind in one report


@frozen(eq=False)
class Plot:
    """A plot to be drawn: ``name`` is that of its files, ``title`` says what it shows."""

    kind: str
    name: str
    title: str
    draw: Callable[[], Figure]


MEANINGS = {
    "attacks": "Substitute accuracy per attack and defense. Small rings: single seeds. Marker and "
    "bar: mean and 95 % interval (Student's t, from three seeds on). Further left protects better.",
    "queries": "Substitute accuracy against the attacker's queries. Bars: 95 % intervals.",
    "utility": "Utility against protection: lower right is better. Filled markers on the line are "
    "the Pareto front: no other defense is at least as good in both and better in one. Of more "
    "than eight defenses only the front and the control are named.",
}


def figures(analysis: Analysis) -> Iterator[Plot]:
    """Yield the plots, at most MOST of a kind."""
    look = looks({cell.defender for cell in analysis.cells})
    for kind, panels in (
        ("attacks", attacks.panels(analysis.cells, analysis.headlines, look)),
        ("queries", queries.panels(analysis.cells, look)),
        ("utility", utility.panels(analysis.headlines, look)),
    ):
        for number, (title, draw) in enumerate(panels[:MOST], start=1):
            yield Plot(kind, f"{kind}-{number:02}", title, draw)


def left_out(analysis: Analysis) -> int:
    """Return how many plots are more than a report holds."""
    counts = (
        len(attacks.panels(analysis.cells, analysis.headlines, {})),
        len(queries.panels(analysis.cells, {})),
        len(utility.panels(analysis.headlines, {})),
    )
    return sum(max(0, count - MOST) for count in counts)
