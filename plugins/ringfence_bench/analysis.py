"""All statistics of one report."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl
from attrs import frozen

from ringfence_bench.notes import notes
from ringfence_bench.selection import wanted
from ringfence_bench.statistics.cells import Cell, cells
from ringfence_bench.statistics.comparison import Comparison, compare
from ringfence_bench.statistics.rates import SameRate, same_rate
from ringfence_bench.statistics.worst import Headline, headlines


@frozen(eq=False)
class Analysis:
    """What a report says."""

    headlines: list[Headline]
    comparisons: list[Comparison]
    same_rate: list[SameRate]
    cells: list[Cell]
    notes: list[str]
    tolerance: float


def analyse(frame: pl.DataFrame, pairs: Sequence[tuple[str, str]], tolerance: float) -> Analysis:
    """Return the statistics of the table; ``pairs``: what to compare."""
    tops = headlines(frame)
    return Analysis(
        headlines=tops,
        comparisons=compare(frame, wanted(frame, pairs), tolerance),
        same_rate=same_rate(tops, tolerance),
        cells=cells(frame),
        notes=notes(frame, tops, tolerance),
        tolerance=tolerance,
    )
