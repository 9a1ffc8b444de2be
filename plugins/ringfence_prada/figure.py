"""The report ``distances``: Figures 7 and 8 of AMAO, drawn from what the metric put in results.

One panel for the benign clients of a setting, one for each attacker: a histogram of the distances,
and the normal curve of the same mean and deviation.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING, Any

from attrs import define, field, frozen

from ringfence.errors import RingfenceError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

METRIC = "distances"
PLAIN = "prada"  #: a defender that needs no mention
MOST = 24  #: panels
SIDES = {"benign": "#0072b2", "attacker": "#d55e00"}
INK, FAINT = "#1b1e23", "#9aa0a8"
WIDE, HIGH = 3.4, 2.3  #: inches of a panel
LETTERS = 48  #: of a line of its title
SETTINGS: Any = {
    "font.size": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": FAINT,
    "svg.fonttype": "none",
    "svg.hashsalt": METRIC,
    "text.parse_math": False,
}


@frozen(eq=False)
class Panel:
    """One side of one run."""

    title: str
    side: str
    figures: dict[str, Any]
    largest: float
    delta: float


@define(eq=False)
class Distances:
    """Draws how far apart the queries of benign clients and of each attacker were, as SVG."""

    name: str = field(default="distances.svg", metadata={"help": "of the file"})

    def write(self, results: Any, folder: Path) -> Path:
        """Draw all runs of a table that have the metric; return the file."""
        found = panels(results.frame.iter_rows(named=True))
        if not found:
            raise RingfenceError(
                f"No run here has the metric {METRIC!r}. Run with: --defense prada "
                f"--metric {METRIC}."
            )
        folder.mkdir(parents=True, exist_ok=True)
        _draw(found, folder / self.name)
        return folder / self.name


def panels(rows: Iterator[dict[str, Any]]) -> list[Panel]:
    """Return the panels of a table's rows: of each kind the first one, which has the least seed."""
    found: dict[tuple[Any, ...], Panel] = {}
    for row in rows:
        told = json.loads(row["metrics"]).get(METRIC)
        if not told:
            continue
        accounts = row["attacker_clients"]
        told_accounts = f"{row['attacker']}, {accounts} account{'s' * (accounts > 1)}"
        names = {"benign": "benign clients", "attacker": told_accounts}
        for side, name in names.items():
            which = (row["setting"], row["defender"], side == "attacker", name)
            variant = "" if row["defender"] == PLAIN else f" ({row['defender']})"
            title = f"{row['setting']}: {name}{variant}"
            if told[side]["mean"] is not None and which not in found:
                found[which] = Panel(title, side, told[side], told["largest"], told["delta"])
    return [found[which] for which in sorted(found)]


def _draw(found: Sequence[Panel], file: Path) -> None:
    try:
        import matplotlib as mpl
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise RingfenceError(
            "This report needs matplotlib. Install the extra: pip install 'ringfence[report]'."
        ) from error
    shown = found[:MOST]
    columns = min(2, len(shown))
    rows = -(-len(shown) // columns)
    with mpl.rc_context(SETTINGS):
        figure = Figure(figsize=(WIDE * columns, HIGH * rows), layout="constrained")
        grid = list(figure.subplots(rows, columns, squeeze=False).flat)
        for axes, panel in zip(grid, shown, strict=False):
            _panel(axes, panel)
        for axes in grid[len(shown) :]:
            axes.set_visible(False)
        if len(found) > MOST:
            figure.supxlabel(f"{len(found) - MOST} more are left out", size=8)
        figure.savefig(file, format="svg", facecolor="#ffffff", metadata={"Date": None})


def _panel(axes: Axes, panel: Panel) -> None:
    import numpy as np
    from scipy.stats import norm

    counts = np.array(panel.figures["counts"])
    edges = np.linspace(0, panel.largest or 1, len(counts) + 1)
    axes.stairs(counts / counts.sum() / (edges[1] - edges[0]), edges, fill=True, alpha=0.55,
                color=SIDES[panel.side])  # fmt: skip
    mean, std = panel.figures["mean"], panel.figures["std"]
    if std:
        places = np.linspace(0, edges[-1], 300)
        axes.plot(places, norm.pdf(places, mean, std), color=INK, lw=0.9, ls=(0, (4, 2)))
    axes.set_title(fill(panel.title, LETTERS), loc="left", size=8, weight="bold")
    axes.set(xlabel="distance to the nearest image kept of its class (L2)", ylabel="density")
    axes.set_xlim(0, edges[-1])
    axes.set_ylim(0, 1.45 * axes.get_ylim()[1])  # room for the text
    axes.text(1, 0.98, _told(panel, counts.sum()), transform=axes.transAxes, ha="right", va="top")


def _told(panel: Panel, count: int) -> str:
    """Return how many distances there are, and the W of the clients beside the threshold."""
    known = sorted(w for w in panel.figures["w"] if w is not None)
    if not known:
        return f"{count:,} distances\nno test"
    last = f"{known[0]:.3f}" + (f" to {known[-1]:.3f}" if len(known) > 1 else "")
    lowest = min(w for w in panel.figures["lowest"] if w is not None)
    return (
        f"{count:,} distances\nW at the end {last}\nlowest W {lowest:.3f}\n"
        f"alarm below {panel.delta:.3f}"
    )
