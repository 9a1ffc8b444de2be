"""The recovery at work: cover among the queries, and exactly so much of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from functools import partial

import torch
from attrs import define, field
from torch import Generator, Tensor

from ringfence.protocols import Oracle
from ringfence.wrapped import Wrapped
from ringfence_mixing.cover import Cover


@define(eq=False)
class Mixer:
    """After any batch, at least ``share`` of all queries sent were cover, and as few as can be."""

    cover: Cover
    share: float
    random: Generator
    _wanted: int = field(default=0, init=False)  #: the attack's own queries so far
    _spent: int = field(default=0, init=False)  #: all queries so far

    def wrap(self, oracle: Oracle) -> Oracle:
        """Return an oracle that sends cover along; an image costs ``1 / (1 - share)`` queries."""
        return Wrapped(oracle, partial(self._ask, oracle), self._left)

    def report(self) -> Mapping[str, float]:
        """Say how much was spent on cover."""
        return {"queries": self._spent, "discarded": self._spent - self._wanted}

    @property
    def _price(self) -> Fraction:
        return 1 / (1 - Fraction(str(self.share)))  # as typed: 0.9 is nine tenths

    def _cost(self, wanted: int) -> int:
        """Return all queries that were sent once ``wanted`` of the attack's were."""
        return -(-wanted * self._price.numerator // self._price.denominator)

    def _left(self, remaining: int) -> int:
        """Return the most of the attack's queries for which ``remaining`` is enough."""
        return int((remaining + self._spent) / self._price) - self._wanted

    def _ask(self, oracle: Oracle, images: Tensor, clients: Sequence[str] | None = None) -> Tensor:
        count = self._cost(self._wanted + len(images)) - self._spent
        if count > oracle.remaining or not len(images):  # the oracle's to refuse, or free
            return oracle.query(images.new_zeros(1).expand(count, *images.shape[1:]))
        order = torch.randperm(count, generator=self.random, device=self.random.device)
        mixed = torch.cat([images, self.cover.draw(count - len(images)).to(images)])[order]
        senders = None if clients is None else self._senders(clients, order)
        answers = oracle.query(mixed, senders)
        self._wanted += len(images)
        self._spent += count
        return answers[order.argsort()[: len(images)]]

    def _senders(self, clients: Sequence[str], order: Tensor) -> list[str]:
        """Return who sends what: every account sends as much cover per query as the others."""
        size = len(clients)
        turns = torch.randperm(size, generator=self.random, device=self.random.device).tolist()
        cover = [clients[turns[turn % size]] for turn in range(len(order) - size)]
        everyone = [*clients, *cover]
        return [everyone[row] for row in order.tolist()]
