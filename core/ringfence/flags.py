"""The share of a client's queries that a detector flagged, and when it is too large.

AMAO's suspicion S (section 4.3): over all queries of a client, or over its last ones. A client
is suspected from the query on at which it first has more flags than the limits allow, for good.
Limits that hold at any number of looks make the first kind anytime-valid.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import numpy as np
import torch
from attrs import define, field, frozen
from numpy.typing import NDArray
from scipy.stats import beta, binom
from torch import Tensor

from ringfence.store import PluginStore
from ringfence.types import Queries

MIN_QUERIES = 50  #: AMAO: fewer are not judged
LARGEST_WINDOW = 4096  #: its flags must fit a state of the store
FEW = 12  #: flags of a client that are counted sooner one by one than by NumPy

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
#: numbers of queries ``(N,)`` -> the most flags that are still innocent ``(N,)``
Limits = Callable[[Ints], Ints]


@frozen
class FixedShare:
    """Limits at one share of flags whatever the number of queries; AMAO's example is 0.1."""

    share: float

    def __call__(self, queries: Ints) -> Ints:
        """Return the most flags ``(N,)`` whose share is not above ``share``."""
        limits: Ints = np.floor(self.share * queries + 1e-9).astype(np.int64)
        return limits


@define(eq=False)
class BinomialNoise:
    """Limits that a benign client of ``rate`` flags a query exceeds with the chance ``tail``.

    That is the chance at one look. A client is looked at after each query, so that the chance to
    be suspected ever is some times larger, and grows with the logarithm of its queries.
    """

    rate: float
    tail: float
    _table: Ints = field(factory=lambda: np.zeros(0, np.int64), init=False)

    def __call__(self, queries: Ints) -> Ints:
        """Return the limits ``(N,)``."""
        most = int(queries.max(initial=0))
        if most >= len(self._table):
            sizes = np.arange(max(1024, 2 * len(self._table), most + 1))
            self._table = binom.isf(self.tail, sizes, self.rate).astype(np.int64)
        return self._table[queries]


def highest_rate(flagged: int, queries: int, confidence: float = 0.99) -> float:
    """Return the rate of flags that ``flagged`` of ``queries`` leave possible (Clopper-Pearson).

    One-sided: a true rate above it shows so few flags with a chance below ``1 - confidence``.
    """
    if flagged >= queries:
        return 1.0
    return float(beta.ppf(confidence, flagged + 1, queries - flagged))


@define
class Flags:
    """What is remembered of a client."""

    seen: int = 0
    flagged: int = 0
    suspected: bool = False
    recent: str = ""  #: the last flags as ones and zeros, where a window needs them


@frozen(eq=False)
class Suspicion:
    """Counts flags per client in the store. Any split into batches gives the same."""

    store: PluginStore
    limits: Limits
    min_queries: int = MIN_QUERIES
    window: int | None = None  #: judge the last queries only; ``None``: all of them
    _limits: dict[int, int] = field(factory=dict, init=False)

    def judge(self, queries: Queries, flagged: Tensor) -> Tensor:
        """Return ``(N,)`` bool: the row's client is suspected from here on, or was before."""
        flags: list[bool] = flagged.tolist()
        suspected = [False] * len(flags)
        for client, rows in queries.rows.items():
            state, own = self.store.state(client, Flags), [flags[row] for row in rows]
            count = self._count_few if len(own) < FEW else self._count
            for row, guilty in zip(rows, count(state, own), strict=True):
                suspected[row] = guilty
        return torch.tensor(suspected, dtype=torch.bool, device=flagged.device)

    def report(self) -> dict[str, float]:
        """Say from which share of flags on it suspects, at first, and whom it did."""
        clients = self.store.states(Flags).values()
        return {
            "first_limit": int(self.limits(np.array([self.min_queries]))[0]) / self.min_queries,
            "clients": len(clients),
            "suspected": sum(client.suspected for client in clients),
        }

    def _count_few(self, state: Flags, flags: list[bool]) -> list[bool]:
        """The same as :meth:`_count`, one flag after the other."""
        return [self._count_one(state, flag) for flag in flags]

    def _count_one(self, state: Flags, flag: bool) -> bool:
        state.seen += 1
        state.flagged += flag
        seen, count = state.seen, state.flagged
        if self.window:
            state.recent = (state.recent + "01"[flag])[-self.window :]
            seen, count = len(state.recent), state.recent.count("1")
        if not state.suspected and state.seen >= self.min_queries:
            state.suspected = count > self._limit(seen)
        return state.suspected

    def _limit(self, seen: int) -> int:
        """Return the limit of so many queries; those that a window can hold are remembered."""
        if seen not in self._limits:
            limit = int(self.limits(np.array([seen]))[0])
            if not self.window:
                return limit
            self._limits[seen] = limit
        return self._limits[seen]

    def _count(self, state: Flags, told: list[bool]) -> list[bool]:
        """Count one client's new flags; return from which of them on it is suspected."""
        flags = np.array(told, dtype=np.bool_)
        seen, count = self._last(state, flags) if self.window else _all(state, flags)
        guilty: Bools = count > self.limits(seen)
        guilty[: max(0, self.min_queries - 1 - state.seen)] = False
        if state.suspected or guilty.any():
            guilty[0 if state.suspected else guilty.argmax() :] = True
        state.seen += len(flags)
        state.flagged += int(np.count_nonzero(flags))
        state.suspected = bool(guilty[-1])
        return cast(list[bool], guilty.tolist())

    def _last(self, state: Flags, flags: Bools) -> tuple[Ints, Ints]:
        """Return how many queries the window holds at each new one, and how many flags."""
        assert self.window
        before = np.frombuffer(state.recent.encode(), np.uint8) == ord("1")
        sums = np.concatenate([[0], np.concatenate([before, flags]).cumsum()])
        ends = np.arange(len(before) + 1, len(sums))
        begins = np.maximum(0, ends - self.window)
        news = (flags[-self.window :] + np.uint8(ord("0"))).tobytes().decode()
        state.recent = (state.recent + news)[-self.window :]
        return ends - begins, sums[ends] - sums[begins]


def _all(state: Flags, flags: Bools) -> tuple[Ints, Ints]:
    """Return how many queries there were with each new one, and how many flags."""
    return np.arange(state.seen + 1, state.seen + len(flags) + 1), state.flagged + flags.cumsum()
