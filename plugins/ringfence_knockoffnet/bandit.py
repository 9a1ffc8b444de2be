"""The gradient bandit of section 4.1.2: which class of the pool is asked next.

Orekondy et al. update after each answer, we after each batch of answers. Policy and baseline
are those of the batch's start, so that its steps add up; a batch of one is the paper's rule.
"""

from __future__ import annotations

import torch
from attrs import define, field
from torch import Generator, Tensor

from ringfence_knockoffnet.stock import ranks


@define(eq=False)
class Bandit:
    """Preferences ``H`` and how often each of ``number`` actions was drawn; float64, host."""

    number: int
    _preferences: Tensor = field(init=False)
    _drawn: Tensor = field(init=False)

    @_preferences.default
    def _indifferent(self) -> Tensor:
        return torch.zeros(self.number, dtype=torch.float64)

    @_drawn.default
    def _none(self) -> Tensor:
        return torch.zeros(self.number, dtype=torch.int64)

    def policy(self, possible: Tensor) -> Tensor:
        """Return the odds ``(A,)``: softmax of ``H`` over the actions that are ``possible``."""
        return self._preferences.masked_fill(~possible, -torch.inf).softmax(0)

    def draw(self, left: Tensor, count: int, generator: Generator) -> Tensor:
        """Return ``count`` actions, none more often than there are images ``left`` ``(A,)``."""
        drawn: list[Tensor] = []
        while count:
            odds = self.policy(left > 0)
            some = torch.multinomial(odds, count, replacement=True, generator=generator)
            some = some[ranks(some, self.number) < left[some]]  # the rest is drawn again
            left = left - torch.bincount(some, minlength=self.number)
            count -= len(some)
            drawn.append(some)
        return torch.cat(drawn)

    def update(self, actions: Tensor, advantages: Tensor, odds: Tensor) -> None:
        """Learn from what ``actions`` ``(B,)`` brought above the baseline, ``(B,)``.

        ``H(z) += a (r - rbar) (1[z = z_t] - pi(z))`` with ``a = 1 / N(z_t)``; ``odds``: the
        policy ``pi`` that they were drawn by.
        """
        times = self._drawn[actions] + ranks(actions, self.number) + 1
        steps = advantages / times
        gained = torch.zeros_like(odds).index_add(0, actions, steps)
        self._preferences += gained - odds * steps.sum()
        self._drawn += torch.bincount(actions, minlength=self.number)
