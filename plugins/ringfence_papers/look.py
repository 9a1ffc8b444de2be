"""What the plots of tables share: colours, markers, bars."""

from __future__ import annotations

from ringfence_papers.spread import Spread

#: of Okabe and Ito, "Color Universal Design", 2008: told apart by most people
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#999999")
MARKERS = "osD^vPX*"


def color(number: int) -> str:
    """Return the colour of the column in that place."""
    return COLORS[number % len(COLORS)]


def marker(number: int) -> str:
    """Return the marker of the column in that place."""
    return MARKERS[number % len(MARKERS)]


def bar(found: Spread) -> list[list[float]]:
    """Return how far down and up a bar reaches, in percent, as the table has it."""
    half = 100 * (found.half or 0)
    if not found.leaves_shares:
        return [[half], [half]]
    return [[100 * (found.mean - found.least)], [100 * (found.greatest - found.mean)]]
