"""Permutation test of a mean difference, by flipping signs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import stats

RESAMPLES = 2**14  #: with no more flips than this, all are tried
SEED = 0


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
    found = stats.permutation_test(
        (np.asarray(differences, dtype=np.float64),),
        np.mean,
        permutation_type="samples",
        vectorized=True,
        n_resamples=RESAMPLES,
        random_state=np.random.default_rng(SEED),
    )
    return min(1.0, float(found.pvalue))
