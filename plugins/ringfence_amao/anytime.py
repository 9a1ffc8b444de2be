"""Limits on flags that hold at every look at once."""

from __future__ import annotations

import numpy as np
from attrs import define, field
from numpy.typing import NDArray
from scipy.special import betaln
from scipy.stats import beta

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
FIRST = 1024  #: queries for which limits are computed at once


@define(eq=False)
class Anytime:
    """Limits that a benign client of at most ``rate`` flags a query ever exceeds by ``chance``.

    A bet against innocence: the likelihood of the flags, mixed over all rates above ``rate``
    alike, over that at ``rate``. For any innocent client it is a non-negative supermartingale
    that starts at 1, so that it ever reaches ``1 / chance`` with probability ``chance`` at most
    (Ville's inequality; Robbins 1970), however often one looks.
    """

    rate: float
    chance: float
    _table: Ints = field(factory=lambda: np.zeros(0, np.int64), init=False)

    def __call__(self, queries: Ints) -> Ints:
        """Return the most flags ``(N,)`` of so many queries that are still innocent."""
        if self.rate >= 1:
            return queries
        most = int(queries.max(initial=0))
        if most >= len(self._table):
            size = max(FIRST, 2 * len(self._table), most + 1)
            self._table = self._limits(np.arange(size, dtype=np.int64))
        return self._table[queries]

    def _limits(self, queries: Ints) -> Ints:
        """Bisect: the evidence grows with the number of flags."""
        low, high = np.zeros_like(queries), queries.copy()  # low is innocent, above high is not
        for _ in range(int(queries.max(initial=1)).bit_length() + 1):
            middle = (low + high + 1) // 2
            innocent = self._evidence(middle, queries) < -np.log(self.chance)
            low, high = np.where(innocent, middle, low), np.where(innocent, high, middle - 1)
            high = np.maximum(low, high)
        return low

    def _evidence(self, flags: Ints, queries: Ints) -> Floats:
        """Return the logarithm of the likelihood ratio."""
        a, b = flags + 1.0, queries - flags + 1.0
        mixed = betaln(a, b) + beta.logsf(self.rate, a, b) - np.log1p(-self.rate)
        plain = flags * np.log(self.rate) + (queries - flags) * np.log1p(-self.rate)
        found: Floats = mixed - plain
        return found
