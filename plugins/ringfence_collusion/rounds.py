"""Deal without a look at the images: in turn, or in a new random order each round."""

from __future__ import annotations

import torch
from attrs import define, field
from torch import Generator, Tensor


@define(eq=False)
class InTurn:
    """The accounts one after another, over all batches."""

    accounts: int
    _dealt: int = field(default=0, init=False)

    def deal(self, images: Tensor) -> list[int]:
        """Return the number of an account for each image."""
        start = self._dealt
        self._dealt += len(images)
        return [turn % self.accounts for turn in range(start, self._dealt)]


@define(eq=False)
class Shuffled:
    """Every account once a round, in random order; rounds go on from batch to batch."""

    accounts: int
    random: Generator
    _next: list[int] = field(factory=list, init=False)

    def deal(self, images: Tensor) -> list[int]:
        """Return the number of an account for each image."""
        rounds = -(-max(0, len(images) - len(self._next)) // self.accounts)
        keys = torch.rand(rounds, self.accounts, generator=self.random, device=self.random.device)
        self._next += keys.argsort(1).flatten().tolist()
        dealt, self._next = self._next[: len(images)], self._next[len(images) :]
        return dealt
