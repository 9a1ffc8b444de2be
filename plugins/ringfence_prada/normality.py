"""When a client's distances are tested, which of them, and how normal they look."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from attrs import frozen
from numpy.typing import NDArray
from scipy.stats import shapiro

Distances = NDArray[np.float64]
ENOUGH = 100  #: a test needs more distances than this
WIDE = 3  #: standard deviations from the mean within which distances are tested
FREQUENT = 10  #: the release leaves out classes with fewer distances


@frozen
class Rule:
    """When to test, what, and whether an alarm is forgotten."""

    every: int  #: queries between two tests
    latch: bool  #: once suspected, always suspected
    pool: Callable[[Distances, NDArray[np.int64]], Distances | None]


def paper(distances: Distances, classes: NDArray[np.int64]) -> Distances | None:
    """Return what the paper tests: more than 100 distances, less those beyond 3 deviations."""
    return _within(distances, np.less_equal) if len(distances) > ENOUGH else None


def release(distances: Distances, classes: NDArray[np.int64]) -> Distances | None:
    """Return what the released code tests: of frequent classes, more than 100 after trimming."""
    frequent = np.bincount(classes) >= FREQUENT if len(classes) else np.zeros(0, bool)
    kept = _within(distances[frequent[classes]], np.less)
    return kept if len(kept) > ENOUGH else None


RULES = {"paper": Rule(1, True, paper), "release": Rule(10, False, release)}


def statistic(distances: Distances) -> float:
    """Return the Shapiro-Wilk statistic W of more than two values.

    It is 0 for equal values, of which SciPy says 1: a client that repeats one image is not normal.
    """
    if np.ptp(distances) == 0:
        return 0.0
    with warnings.catch_warnings():  # beyond 5,000 values the p-value is unsure, but not W
        warnings.filterwarnings("ignore", "scipy.stats.shapiro: For N > 5000")
        return float(shapiro(distances).statistic)


def _within(distances: Distances, closer: Any) -> Distances:
    """Return the distances that are ``closer`` to their mean than 3 deviations."""
    if len(distances) < 2 or np.ptp(distances) == 0:  # a strict bound of 0 would leave nothing
        return distances
    kept: Distances = distances[
        closer(np.abs(distances - distances.mean()), WIDE * distances.std())
    ]
    return kept
