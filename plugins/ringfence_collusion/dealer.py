"""The recovery at work: name an account for every query that comes without one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Literal

from attrs import define, field
from torch import Generator, Tensor

from ringfence.errors import WrongNumber
from ringfence.protocols import Oracle
from ringfence.wrapped import Wrapped
from ringfence_collusion.apart import Apart
from ringfence_collusion.rounds import InTurn, Shuffled

Deal = Callable[[Tensor], list[int]]  #: images ``(N, C, H, W)`` -> the number of an account each


@define(eq=False)
class Dealer:
    """Chooses accounts; each gets one query before any gets its next, in all three ways."""

    deal: Literal["similar", "random", "turn"]
    remember: int
    random: Generator
    _sent: Counter[str] = field(factory=Counter, init=False)

    def wrap(self, oracle: Oracle) -> Oracle:
        """Return an oracle that deals; raises where there is one account only."""
        if len(oracle.clients) < 2:
            raise WrongNumber("One account cannot collude. Give --attacker-clients 2 or more.")
        return Wrapped(oracle, partial(self._ask, oracle, self._way(len(oracle.clients))))

    def report(self) -> Mapping[str, float]:
        """Say how many queries the busiest and the idlest of the accounts in use have sent."""
        sent = self._sent.values()
        extremes = {"most": max(sent, default=0), "fewest": min(sent, default=0)}
        return {"accounts": len(sent), **extremes, "discarded": 0}

    def _way(self, accounts: int) -> Deal:
        if self.deal == "similar":
            return Apart(accounts, self.remember).deal
        return (Shuffled(accounts, self.random) if self.deal == "random" else InTurn(accounts)).deal

    def _ask(
        self, oracle: Oracle, deal: Deal, images: Tensor, clients: Sequence[str] | None = None
    ) -> Tensor:
        """Ask; queries whose accounts the attack itself has named go out as they are."""
        fits = len(images) <= oracle.remaining and bool(images.isfinite().all())
        if clients is None and fits:  # or the oracle refuses them, and nobody is dealt
            clients = [oracle.clients[number] for number in deal(images)]
        answers = oracle.query(images, clients)
        self._sent.update(clients or ())
        return answers
