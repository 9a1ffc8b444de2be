"""Colours, markers and text sizes: the same defender looks the same in every plot.

The palette is Okabe and Ito's ("Color universal design", 2008) without its yellow; the undefended
control is ink. Every defender has its own marker too, so that no plot needs colour.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from attrs import frozen

from ringfence_bench.identities import NONE

INK = "#1b1e23"
FAINT = "#9aa0a8"
COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
MARKERS = ("s", "^", "D", "v", "P", "X", "<", ">", "h")
WIDTH = 4.7  #: inches: fits a phone, and two stand side by side on a desk
LONGEST = 40  #: characters of a name in a plot; the tables have all of it

SETTINGS: Any = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 10,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "svg.fonttype": "none",  # text stays text: it can be read, searched, recoloured
    "text.parse_math": False,  # a name with two dollars is no formula
}


@frozen
class Look:
    """How one defender is drawn."""

    color: str
    marker: str


def looks(defenders: Iterable[str]) -> dict[str, Look]:
    """Return the look of every defender; beyond nine markers and six colours they repeat."""
    others = sorted({*defenders} - {NONE})
    found = {
        name: Look(COLORS[i % len(COLORS)], MARKERS[i % len(MARKERS)])
        for i, name in enumerate(others)
    }
    return {NONE: Look(INK, "o"), **found}


def short(name: str, longest: int = LONGEST) -> str:
    """Return a name that fits; its end tells more than its middle."""
    if len(name) <= longest:
        return name
    return f"{name[: longest * 2 // 3]}…{name[-(longest - longest * 2 // 3 - 1) :]}"
