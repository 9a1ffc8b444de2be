"""How sure a claim of ownership is: what an innocent model does to a trigger set by chance.

Szyller, Atli, Marchal, Asokan, "DAWN: Dynamic Adversarial Watermarking of Neural Networks", ACM
MM 2021: an unrelated model hits each wrong label with probability ``chance`` (the paper: one over
the number of classes), independently, so that its hits are binomial.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.stats import binom

LARGEST = 100_000  #: triggers; no smallest set is looked for beyond


def p_value(hits: int, size: int, chance: float) -> float:
    """Return the chance that an innocent model hits ``hits`` or more of ``size`` triggers."""
    return float(binom.sf(hits - 1, size, chance))


def tolerated(size: int, tolerance: float) -> int:
    """Return the most misses with which ``misses < tolerance * size``."""
    return math.ceil(round(tolerance * size, 9)) - 1  # 0.7 * 10 is no more than 7


def false_claim(size: int, tolerance: float, chance: float) -> float:
    """Return P_fp: the chance that an innocent model misses less than ``tolerance * size``."""
    return float(binom.cdf(tolerated(size, tolerance), size, 1 - chance))


def smallest_set(tolerance: float | None, chance: float, bits: float) -> int | None:
    """Return the fewest triggers with ``P_fp <= 2 ** -bits``; none where that needs too many.

    ``tolerance``: the share of misses that still convicts; none: a model must hit all.
    """
    if tolerance is None:
        return math.ceil(bits / -math.log2(chance))
    sizes = np.arange(1, LARGEST + 1)
    misses = np.ceil((tolerance * sizes).round(9)) - 1
    enough = np.flatnonzero(binom.cdf(misses, sizes, 1 - chance) <= 2.0**-bits)
    return int(sizes[enough[0]]) if len(enough) else None
