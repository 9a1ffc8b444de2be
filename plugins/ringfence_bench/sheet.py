"""One table of text, and how figures are written in it."""

from __future__ import annotations

from attrs import frozen

from ringfence_bench.statistics.spread import Spread

ABSENT = "-"


@frozen
class Sheet:
    """A table of text: columns at the places ``names`` are names, the rest figures."""

    title: str
    meaning: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    names: tuple[int, ...] = (0,)
    remarks: tuple[str, ...] = ()
    detail: bool = False  #: for the report, not for the terminal


def count(number: int, noun: str) -> str:
    """Return a number of things in words."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def figure(value: float | None, digits: int = 4) -> str:
    """Return a figure with a fixed number of digits, or a dash."""
    return ABSENT if value is None else f"{value:.{digits}f}"


def signed(value: float | None) -> str:
    """Return a difference with its sign."""
    return ABSENT if value is None else f"{value:+.4f}"


def spreading(found: Spread) -> str:
    """Return mean ± standard deviation."""
    return figure(found.mean) + (f" ± {figure(found.sd)}" if found.sd is not None else "")


def between(low: float | None, high: float | None, *, sign: bool = False) -> str:
    """Return an interval."""
    write = signed if sign else figure
    return ABSENT if low is None or high is None else f"{write(low)} to {write(high)}"


def probability(value: float | None) -> str:
    """Return a p-value with two digits."""
    return ABSENT if value is None else f"{value:.2g}"
