"""Plots as files and as SVG inside a page; the same plot gives the same bytes."""

from __future__ import annotations

import io
import re
from contextlib import AbstractContextManager
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

from ringfence_bench.plots.figures import Plot
from ringfence_bench.plots.look import COLORS, FAINT, INK, SETTINGS

#: what a page may recolour in the dark, by the colour drawn
VARIABLES = {INK: "currentColor", FAINT: "var(--faint)"} | {
    color: f"var(--series-{number})" for number, color in enumerate(COLORS)
}
#: one that keeps a PNG readable on any ground
PAPER = "#ffffff"
REFERENCE = re.compile(r'(href="#|url\(#)([\w-]+)')  #: to an id; a colour is none
HEAD = 0.3  #: inches for the title of a plot that stands alone


def save(plot: Plot, folder: Path) -> None:
    """Write ``NAME.svg`` and ``NAME.png``, on white."""
    with _settings(plot):
        figure = _titled(plot)
        figure.savefig(folder / f"{plot.name}.svg", facecolor=PAPER, metadata={"Date": None})
        figure.savefig(folder / f"{plot.name}.png", facecolor=PAPER, dpi=200)


def inline(plot: Plot) -> str:
    """Return an ``<svg>`` for a page: its own ids, the page's colours, no outside address."""
    text = io.StringIO()
    with _settings(plot):
        plot.draw().savefig(text, format="svg", metadata={"Date": None})
    svg = text.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r' xmlns(:\w+)?="[^"]*"', "", svg)
    return _recoloured(_own_ids(svg, plot.name))


def _settings(plot: Plot) -> AbstractContextManager[None]:
    return mpl.rc_context({**SETTINGS, "svg.hashsalt": plot.name})


def _titled(plot: Plot) -> Figure:
    """Return the figure with its title, which a page shows as text of its own."""
    figure = plot.draw()
    wide, high = figure.get_size_inches()
    figure.set_size_inches(wide, high + HEAD)
    for axes in figure.axes:
        left, low, width, height = axes.get_position().bounds
        share = high / (high + HEAD)
        axes.set_position((left, low * share, width, height * share))
    figure.text(0.03, 1 - 0.08 / (high + HEAD), plot.title, weight="bold", va="top")
    return figure


def _own_ids(svg: str, name: str) -> str:
    """Return the SVG with only the ids that it uses, which no other plot has."""
    used = {found[1] for found in REFERENCE.findall(svg)}

    def keep(found: re.Match[str]) -> str:
        return f' id="{name}-{found[1]}"' if found[1] in used else ""

    svg = re.sub(r' id="([^"]*)"', keep, svg)
    return REFERENCE.sub(rf"\g<1>{name}-\g<2>", svg)


def _recoloured(svg: str) -> str:
    """Return the SVG with the page's colours, in styles alone: text is left as it is."""

    def style(found: re.Match[str]) -> str:
        told = found[0]
        for color, variable in VARIABLES.items():
            told = told.replace(color, variable)
        return told

    return re.sub(r' style="[^"]*"', style, svg)
