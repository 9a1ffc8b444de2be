"""The growing set of one client and class, and the distance that joins it.

The set lives in logs of the store, and the threshold with it: 257 classes do not fit in a state.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from attrs import define, frozen
from numpy.typing import NDArray
from torch import Tensor

from ringfence.log import Log
from ringfence.store import PluginStore
from ringfence_prada.nearest import Flat, earlier, flat, nearest

SLICE = 128  #: queries compared with one another at a time: bounds the pairs


@frozen(eq=False)
class Grown:
    """What became of some queries: their distances, and how many joined or found no room."""

    distances: NDArray[np.float64]  #: ``(M,)``; NaN for the first of the class
    joined: int
    turned_away: int


@define
class Spread:
    """The distances of a set's members (0 for the first), and the threshold made of them."""

    count: int = 0
    mean: float = 0.0
    squares: float = 0.0  #: sum of squared differences to the mean
    threshold: float = 0.0

    def add(self, distance: float) -> None:
        """Count one more; the threshold is the largest mean - deviation so far."""
        self.count += 1
        above = distance - self.mean
        self.mean += above / self.count
        self.squares += above * (distance - self.mean)
        deviation = math.sqrt(self.squares / self.count)
        self.threshold = max(self.threshold, self.mean - deviation)


@frozen(eq=False)
class GrowingSet:
    """The images kept of one client and class, at most ``keep``."""

    keep: int
    images: Log  #: ``(D,)``, in [0, 1]
    squares: Log  #: squared length of each image
    spreads: Log  #: mean, squares and threshold after each image

    @classmethod
    def of(cls, store: PluginStore, client: str, label: int, keep: int) -> GrowingSet:
        """Return the set of one client and class, as the store remembers it."""
        logs = (store.log(client, f"{label}/{name}") for name in ("images", "squares", "spreads"))
        return cls(keep, *logs)

    def grow(self, images: Tensor) -> Grown:
        """Measure images ``(M, C, H, W)`` in their order, and keep those that are far enough."""
        parts = [self._grow(part) for part in images.split(SLICE)]
        return Grown(
            np.concatenate([part.distances for part in parts]),
            sum(part.joined for part in parts),
            sum(part.turned_away for part in parts),
        )

    def _grow(self, images: Tensor) -> Grown:
        queries, spread = flat(images), self._spread()
        near = nearest(queries, Flat(self.images.rows(), self.squares.rows()))
        among = earlier(queries, near) if len(self.images) < self.keep else None
        found = near.cpu().numpy()
        pairs = None if among is None else among.cpu().numpy()
        joined, away, spreads = [], 0, []
        for row in range(len(images)):
            first = spread.count == 0
            if not first and not found[row] > spread.threshold:
                continue
            if spread.count == self.keep or pairs is None:
                away += 1
                continue
            spread.add(0.0 if first else float(found[row]))
            spreads.append((spread.mean, spread.squares, spread.threshold))
            joined.append(row)
            later = slice(row + 1, None)
            found[later] = np.minimum(found[later], pairs[later, row])
        self._keep(queries, joined, spreads)
        return Grown(np.where(np.isinf(found), np.nan, found), len(joined), away)

    def _spread(self) -> Spread:
        count = len(self.spreads)
        return Spread(count, *self.spreads.rows()[-1].tolist()) if count else Spread()

    def _keep(self, queries: Flat, joined: list[int], spreads: Sequence[tuple[float, ...]]) -> None:
        if joined:
            rows = torch.tensor(joined, device=queries.pixels.device)
            self.images.append(queries.pixels[rows])
            self.squares.append(queries.squares[rows])
            self.spreads.append(torch.tensor(spreads, dtype=torch.float64))
