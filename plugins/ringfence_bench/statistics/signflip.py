"""Permutation test of a mean difference, by flipping signs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import stats

RESAMPLES = 2**14  #: with no more flips than this, all are tried
SEED = 0
DECIMALS = 12  #: a flip's mean sums in another order, and may miss its equal by 1e-16


def p_value(differences: Sequence[float]) -> float | None:
    """Return the two-sided p-value of the mean of independent differences; None for none.

    Fisher, "The design of experiments", 1935: were both sides alike, every difference could as
    well have the other sign. Up to 14 differences all flips are tried; beyond, as many
    are drawn, alike in every call, and count one more (Phipson and Smyth, SAGMB 9, 2010).
    n differences cannot give less than 2 / 2**n: three seeds never less than 0.25.
    """
    if not len(differences):
        return None
    if len(differences) == 1:
        return 1.0  # both signs are as far from zero
    values = np.asarray(differences, dtype=np.float64)
    found = stats.permutation_test(
        (values / (np.abs(values).max() or 1.0),),  # the test knows no units, ties do
        _mean,
        permutation_type="samples",
        vectorized=True,
        n_resamples=RESAMPLES,
        random_state=np.random.default_rng(SEED),
    )
    return min(1.0, float(found.pvalue))


def _mean(values: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
    """Return means of values in [-1, 1]; those that only rounding tells apart are equal."""
    means: NDArray[np.float64] = np.round(values.mean(axis=axis), DECIMALS)
    return means
