"""How many benign clients a count of flags would suspect, by clients made of held-out flags.

Such a client sends images drawn at random from one set. A real one, whose images resemble one
another, strays further from the common rate: what is found here is a lower bound for it.
"""

from __future__ import annotations

import numpy as np
import torch
from attrs import evolve, frozen
from numpy.typing import NDArray

from ringfence.flags import Suspicion, highest_rate
from ringfence.memorystore import MemoryStore
from ringfence.types import Queries

CONFIDENCE = 0.95  #: of the upper bound


@frozen
class FalseSuspicion:
    """Of so many benign clients so many were suspected at some time."""

    suspected: int
    clients: int

    @property
    def rate(self) -> float:
        """The share of clients."""
        return self.suspected / self.clients

    @property
    def upper(self) -> float:
        """The one-sided upper 95 percent bound of the true share (Clopper-Pearson)."""
        return highest_rate(self.suspected, self.clients, CONFIDENCE)


def false_suspicion(
    suspicion: Suspicion,
    flags: NDArray[np.bool_],
    *,
    clients: int,
    queries: int,
    random: np.random.Generator,
) -> FalseSuspicion:
    """Send ``clients`` of ``queries`` each through a copy of ``suspicion``, with an empty store.

    ``flags`` ``(M,)``: what the detector says of held-out benign images; each query is one of
    them, drawn with replacement.
    """
    store, count = MemoryStore(), 0
    judge = evolve(suspicion, store=store.of(suspicion.store.plugin)).judge
    asked = Queries(torch.empty(queries, 0), ("benign",) * queries, torch.arange(queries))
    for _ in range(clients):
        own = torch.from_numpy(flags[random.integers(len(flags), size=queries)])
        with store.batch(asked.clients):
            count += int(judge(asked, own)[-1])  # once suspected, always
        store.clear()
    return FalseSuspicion(count, clients)
