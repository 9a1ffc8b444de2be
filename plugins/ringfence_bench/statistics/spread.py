"""Mean and spread over seeds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean, stdev

from attrs import frozen
from scipy import stats

CONFIDENCE = 0.95
FEWEST = 3  #: seeds below which no interval is given


@frozen
class Spread:
    """A mean over seeds, and how far it can be trusted."""

    mean: float
    sd: float | None  #: sample standard deviation (n - 1); None for one seed
    n: int
    low: float | None  #: of the 95 % interval of the mean; None below three seeds
    high: float | None


def spread(values: Sequence[float]) -> Spread | None:
    """Return mean, standard deviation and Student's t interval of at least one value.

    Student, "The probable error of a mean", Biometrika 6, 1908: seeds are taken for independent
    and their means for normal. Three seeds give an interval of 2.5 standard deviations each way.
    """
    if not values:
        return None
    mean, n = fmean(values), len(values)
    if n == 1:
        return Spread(mean, None, 1, None, None)
    sd = stdev(values)
    if n < FEWEST:
        return Spread(mean, sd, n, None, None)
    half = float(stats.t.ppf((1 + CONFIDENCE) / 2, n - 1)) * sd / math.sqrt(n)
    return Spread(mean, sd, n, mean - half, mean + half)
