"""Correction of p-values for their number."""

from __future__ import annotations

from collections.abc import Sequence


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Return the p-values adjusted over all that are not None, in the same order.

    Holm, "A simple sequentially rejective multiple test procedure", Scand. J. Stat. 6, 1979: the
    smallest of m counts m times, the next m - 1 times, and none becomes less than one before it.
    """
    known = [(p, place) for place, p in enumerate(p_values) if p is not None]
    adjusted: list[float | None] = [None] * len(p_values)
    highest = 0.0
    for rank, (p, place) in enumerate(sorted(known)):
        highest = max(highest, min(1.0, p * (len(known) - rank)))
        adjusted[place] = highest
    return adjusted
