"""The share of a client's queries that a detector flagged, and when it is too large.

AMAO's suspicion S (section 4.3): over all queries of a client, or over its last ones. A client
is suspected from the query on at which it first has more flags than the limits allow, for good.
Limits that hold at any number of looks make the first kind anytime-valid.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

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

    def judge(self, queries: Queries, flagged: Tensor) -> Tensor:
        """Return ``(N,)`` bool: the row's client is suspected from here on, or was before."""
        groups = _Groups.of(queries.clients)
        states = [self.store.state(client, Flags) for client in groups.clients]
        flags = flagged.cpu().numpy()[groups.order]
        seen, count = (self._last if self.window else _all)(states, flags, groups)
        guilty = (seen >= self.min_queries) & (count > self.limits(seen))
        guilty = _from_then_on(guilty, states, groups)
        self._remember(states, flags, guilty, groups)
        rows = np.empty_like(guilty)
        rows[groups.order] = guilty
        return torch.from_numpy(rows).to(flagged.device)

    def _last(self, states: Sequence[Flags], flags: Bools, groups: _Groups) -> tuple[Ints, Ints]:
        """Return for each row how many queries its window holds, and how many flags."""
        assert self.window
        before = [np.frombuffer(state.recent.encode(), np.uint8) == ord("1") for state in states]
        news = np.split(flags, groups.ends[:-1])
        parts = [part for both in zip(before, news, strict=True) for part in both]
        sums = np.concatenate([[0], np.concatenate(parts).cumsum()])
        stops = np.array([len(part) for part in parts]).cumsum()
        lengths = np.array([len(part) for part in before])
        ends = stops[::2][groups.own] + groups.place + 1
        begins = np.maximum((stops[::2] - lengths)[groups.own], ends - self.window)
        return ends - begins, sums[ends] - sums[begins]

    def _remember(
        self, states: Sequence[Flags], flags: Bools, guilty: Bools, groups: _Groups
    ) -> None:
        for state, start, end in zip(states, groups.starts, groups.ends, strict=True):
            own = flags[start:end]
            state.seen += len(own)
            state.flagged += int(own.sum())
            state.suspected = bool(guilty[end - 1])
            if self.window:
                text = (own[-self.window :] + np.uint8(ord("0"))).tobytes().decode()
                state.recent = (state.recent + text)[-self.window :]


@frozen(eq=False)
class _Groups:
    """The rows of a batch, sorted by client; a client's own stay in the order sent."""

    clients: list[str]
    order: Ints  #: ``(N,)`` the rows, sorted
    own: Ints  #: ``(N,)`` whose each sorted row is, a number of ``clients``
    starts: Ints  #: where each client's rows begin among the sorted ones
    ends: Ints

    @classmethod
    def of(cls, clients: Sequence[str]) -> _Groups:
        numbers = {client: number for number, client in enumerate(dict.fromkeys(clients))}
        own = np.fromiter(map(numbers.__getitem__, clients), np.int64, len(clients))
        order = own.argsort(kind="stable")
        sizes = np.bincount(own)
        ends = sizes.cumsum()
        return cls(list(numbers), order, own[order], ends - sizes, ends)

    @property
    def place(self) -> Ints:
        """Each sorted row's place among those of its client, from 0."""
        return np.arange(len(self.own)) - self.starts[self.own]

    def sums(self, values: Bools) -> Ints:
        """Return how many of its client's values up to each sorted row are true, ``(N,)``."""
        sums = values.cumsum()
        before: Ints = sums[self.starts] - values[self.starts]
        return sums - before[self.own]


def _all(states: Sequence[Flags], flags: Bools, groups: _Groups) -> tuple[Ints, Ints]:
    """Return for each row how many queries its client has sent with it, and how many flags."""
    seen = np.array([state.seen for state in states])
    flagged = np.array([state.flagged for state in states])
    return seen[groups.own] + groups.place + 1, flagged[groups.own] + groups.sums(flags)


def _from_then_on(guilty: Bools, states: Sequence[Flags], groups: _Groups) -> Bools:
    """Return ``guilty`` with all later rows of the same client, and all of a known suspect's."""
    before = np.array([state.suspected for state in states])
    if not (guilty.any() or before.any()):
        return guilty
    return before[groups.own] | (groups.sums(guilty) > 0)
