"""Bootstrap interval of a mean difference."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from attrs import frozen
from scipy import stats

RESAMPLES = 9_999
SEED = 0
FEWEST = 3  #: differences below which no interval is given
ENOUGH = 10  #: differences from which the bias and skewness of BCa can be estimated


@frozen
class Interval:
    """A 95 % interval, or why there is none; ``remark`` says what weakens it."""

    low: float | None
    high: float | None
    method: str | None
    remark: str = ""


def interval(differences: Sequence[float]) -> Interval:
    """Return the interval of the mean of independent differences.

    From ten on BCa (Efron, "Better bootstrap confidence intervals", JASA 82, 1987), below the
    plain percentiles, which are too narrow there. The resamples are the same in every call.
    """
    n = len(differences)
    if n < FEWEST:
        return Interval(None, None, None, f"no interval: {n} of the {FEWEST} victims it needs")
    if np.ptp(differences) <= 1e-12:
        return Interval(None, None, None, "no interval: all differences are equal")
    method, remark = ("BCa", "") if n >= ENOUGH else ("percentile", f"too narrow: {n} victims")
    found = stats.bootstrap(
        (np.asarray(differences, dtype=np.float64),),
        np.mean,
        n_resamples=RESAMPLES,
        method=method,
        random_state=np.random.default_rng(SEED),
    ).confidence_interval
    return Interval(float(found.low), float(found.high), method, remark)
