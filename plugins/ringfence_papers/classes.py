"""A table by class: how often each occurs as bars, what is known of it as dots, a panel per row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ringfence.errors import BadSpec
from ringfence_papers.figures import at
from ringfence_papers.filled import Filled
from ringfence_papers.look import color, marker
from ringfence_papers.results import Result

PANEL = 2.3  #: inches of one row


def height(filled: Filled) -> float:
    """Return the inches that the panels need."""
    return 0.7 + PANEL * max(1, len(filled.shown))


def draw(filled: Filled, figure: Any) -> None:
    """Draw means over the seeds, classes from the rarest to the most frequent."""
    shown = filled.shown
    panels = figure.subplots(max(1, len(shown)), squeeze=False)[:, 0]
    for axes, place in zip(panels, shown, strict=False):
        _panel(filled, axes, place)
    if shown:
        panels[-1].set_xlabel("class, from the rarest to the most frequent")
        panels[0].legend(fontsize=8, frameon=False, loc="upper left", ncols=3)


def _panel(filled: Filled, axes: Any, place: int) -> None:
    told, runs = filled.table.classes, filled.runs[place]
    assert told is not None
    bars = _mean(runs, told.bars)
    order = np.argsort(bars, kind="stable")
    names = [str(label) for label in order]
    for number, value in enumerate(told.dots):
        axes.plot(
            names, 100 * _mean(runs, value)[order], marker(number), color=color(number),
            ms=4, label=value.rpartition(".")[2],
        )  # fmt: skip
    axes.set_ylabel("percent")
    axes.set_ylim(0, 125)  # room for the legend
    axes.set_yticks(range(0, 101, 25))
    axes.tick_params(axis="x", labelsize=6)
    behind = axes.twinx()
    behind.bar(names, bars[order], color="0.85")
    behind.set_ylabel(told.bars.rpartition(".")[2])
    axes.set_zorder(behind.get_zorder() + 1)
    axes.patch.set_visible(False)
    axes.set_title(" ".join(map(str, filled.table.rows[place].at.values())), fontsize=8)


def _mean(runs: Sequence[Result], value: str) -> Any:
    """Return the means of lists, class by class; what is null in a run does not count."""
    found = [at(run, value) for run in runs]
    if not all(isinstance(one, list) for one in found):
        raise BadSpec(f"A result file holds no list at {value!r}, one value per class.")
    lists = np.array(found, dtype=float)
    known = np.isfinite(lists)
    return np.where(known, lists, 0).sum(0) / np.maximum(known.sum(0), 1)
