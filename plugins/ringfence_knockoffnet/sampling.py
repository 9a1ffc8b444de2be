"""Which images of the pool are sent without asking why, and which answers judge the substitute."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from attrs import define, field
from torch import Generator, Tensor


@define(eq=False)
class Uniform:
    """The random strategy: an order that no answer changes."""

    _order: Tensor
    _sent: int = field(default=0, init=False)

    def choose(self, count: int) -> Tensor:
        """Return the next rows of the pool, ``count`` or what is left."""
        rows = self._order[self._sent : self._sent + count]
        self._sent += len(rows)
        return rows

    def learn(self, rows: Tensor, answers: Tensor) -> None:
        """Learn nothing."""

    def report(self) -> Mapping[str, float]:
        """Say nothing."""
        return {}


def uniform(size: int, count: int, generator: Generator) -> Tensor:
    """Return ``count`` of ``size`` rows ``(count,)``, without replacement.

    When the pool is exhausted it is gone through again in a new order, as in the released
    code; repeats are queries like any other.
    """
    rounds = max(1, -(-count // size))
    orders = [
        torch.randperm(size, generator=generator, device=generator.device) for _ in range(rounds)
    ]
    return torch.cat(orders)[:count]


def last_images(rows: Tensor, count: int) -> Tensor:
    """Return where ``rows`` ``(N,)`` hold one of the last ``count``, bool ``(N,)``.

    An earlier repeat of such an image is among them, or the substitute would have learnt it.
    """
    return torch.isin(rows, rows[len(rows) - count :])
