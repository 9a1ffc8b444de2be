"""The recovery at work: each image is asked again and again, in one batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

import torch
from attrs import define, field
from torch import Generator, Tensor

from ringfence.augment import augment
from ringfence.errors import WrongNumber
from ringfence.protocols import Oracle
from ringfence.recipe import Recipe
from ringfence.wrapped import Wrapped
from ringfence_probing.judge import differ, elected

if TYPE_CHECKING:
    from ringfence_probing import Probing


@define(eq=False)
class Prober:
    """Counts what it asks, and how many images got answers that differ."""

    options: Probing
    random: Generator
    _images: int = field(default=0, init=False)
    _spent: int = field(default=0, init=False)
    _doubted: int = field(default=0, init=False)

    def wrap(self, oracle: Oracle) -> Oracle:
        """Return an oracle with ``1 / asks`` of the budget: one image costs ``asks`` queries.

        Raises where there are fewer accounts than ``asks``, and each query needs another.
        """
        asks, accounts = self.options.asks, len(oracle.clients)
        if self.options.by == "account" and accounts < asks:
            raise WrongNumber(
                f"Probing asks each image through {asks} accounts, but the attacker has "
                f"{accounts}. Give --attacker-clients {asks}, or change probing.asks."
            )
        return Wrapped(oracle, partial(self._ask, oracle), self._left)

    def report(self) -> Mapping[str, float]:
        """Say what was spent, and for how many images the answers differed."""
        extra = self._spent - self._images
        return {"queries": self._spent, "discarded": extra, "doubted": self._doubted}

    def _left(self, remaining: int) -> int:
        return -(-remaining // self.options.asks)  # the last image makes do with what is left

    def _ask(self, oracle: Oracle, images: Tensor, clients: Sequence[str] | None = None) -> Tensor:
        size, asks = len(images), self.options.asks
        if not 0 < size <= self._left(oracle.remaining):  # free, or the oracle's to refuse
            return oracle.query(images.new_zeros(1).expand(asks * size, *images.shape[1:]))
        spent = min(asks * size, oracle.remaining)
        copies = torch.cat([images, *(self._copy(images) for _ in range(asks - 1))])
        senders = self._senders(oracle, size, clients)
        answers = oracle.query(copies[:spent], None if senders is None else senders[:spent])
        self._images, self._spent = self._images + size, self._spent + spent
        missing = answers.new_zeros(asks * size - spent, answers.shape[1])
        return self._judged(torch.cat([answers, missing]).view(asks, size, -1))

    def _copy(self, images: Tensor) -> Tensor:
        """Return the images as they are asked again."""
        if self.options.by == "account":
            return images
        moved = augment(images, Recipe(shift=self.options.shift), self.random)
        noise = torch.rand(images.shape, generator=self.random, device=self.random.device)
        return (moved + self.options.noise * (2 * noise - 1)).clamp(0, 1)

    def _senders(
        self, oracle: Oracle, size: int, clients: Sequence[str] | None
    ) -> list[str] | None:
        """Return who asks what; through accounts, each copy is the next one's after its owner."""
        accounts = oracle.clients
        if self.options.by == "changed":
            return None if clients is None else list(clients) * self.options.asks
        turns = range(self._images, self._images + size)
        owners = [accounts.index(c) for c in clients] if clients is not None else list(turns)
        return [
            accounts[(owner + ask) % len(accounts)]
            for ask in range(self.options.asks)
            for owner in owners
        ]

    def _judged(self, answers: Tensor) -> Tensor:
        """Return what the attack is told ``(N, K)``; zeros where it is told nothing."""
        doubt = differ(answers, self.options.tolerance)
        self._doubted += int(doubt.sum())
        told = elected(answers)
        return told if self.options.then == "vote" else told.masked_fill(doubt[:, None], 0)
