"""The images that were not sent yet, by class or cluster: by action."""

from __future__ import annotations

import torch
from attrs import define, field
from torch import Generator, Tensor


def ranks(actions: Tensor, number: int) -> Tensor:
    """Return for each of ``actions`` ``(B,)``, all below ``number``, how many like it precede."""
    order = actions.argsort(stable=True)
    sizes = torch.bincount(actions, minlength=number)
    first = sizes.cumsum(0) - sizes
    found = torch.empty_like(actions)
    found[order] = torch.arange(len(actions)) - first[actions[order]]
    return found


@define(eq=False)
class Stock:
    """A pool in which each action's images lie in a random order; on the host."""

    actions: Tensor  #: ``(P,)`` int64; whose image each row of the pool is
    _generator: Generator
    _sizes: Tensor = field(init=False)
    _order: Tensor = field(init=False)  #: rows of the pool, one action after the other
    _sent: Tensor = field(init=False)

    @_sizes.default
    def _count(self) -> Tensor:
        return torch.bincount(self.actions)

    @_order.default
    def _mix(self) -> Tensor:
        mixed = torch.randperm(len(self.actions), generator=self._generator)
        return mixed[self.actions[mixed].argsort(stable=True)]

    @_sent.default
    def _none(self) -> Tensor:
        return torch.zeros_like(self._sizes)

    @property
    def left(self) -> Tensor:
        """Images of each action ``(A,)`` that can be taken."""
        return self._sizes - self._sent

    def refill(self) -> None:
        """Let all images be taken once more, in a new order."""
        self._order, self._sent = self._mix(), self._none()

    def take(self, actions: Tensor) -> Tensor:
        """Return a row of the pool for each of ``actions`` ``(B,)``, of which enough are left."""
        first = self._sizes.cumsum(0) - self._sizes + self._sent
        rows = self._order[first[actions] + ranks(actions, len(self._sizes))]
        self._sent += torch.bincount(actions, minlength=len(self._sizes))
        return rows
