"""A mean over seeds and how sure it is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean, stdev

from attrs import frozen
from scipy.stats import t


@frozen
class Spread:
    """The mean of some figures, and the half width of its 95 % interval (Student's t)."""

    mean: float
    half: float | None  #: none for a single figure
    count: int
    least: float
    greatest: float

    @property
    def high(self) -> float:
        """The upper end of the interval; unbounded for a single figure."""
        return self.mean + (math.inf if self.half is None else self.half)

    @property
    def low(self) -> float:
        """The lower end of the interval."""
        return self.mean - (math.inf if self.half is None else self.half)

    @property
    def leaves_shares(self) -> bool:
        """Whether the interval reaches beyond 0 or 1, where no share can be."""
        return self.half is not None and not (self.low >= 0 and self.high <= 1)


def spread(values: Sequence[float]) -> Spread | None:
    """Return the spread of figures; nothing for none."""
    if not values:
        return None
    if len(values) == 1:
        return Spread(values[0], None, 1, values[0], values[0])
    half = float(t.ppf(0.975, len(values) - 1)) * stdev(values) / math.sqrt(len(values))
    return Spread(fmean(values), half, len(values), min(values), max(values))
