"""Which queries of suspected clients are flipped, which replayed: in the order sent.

AMAO, sections 4.4.1 and 4.4.2, algorithm 2.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from attrs import define, field, frozen
from numpy.typing import NDArray
from torch import Tensor

from ringfence.randomness import keyed_draw
from ringfence.run import DefenseRun
from ringfence.types import Queries
from ringfence_amao import stopping
from ringfence_amao.phash import phash
from ringfence_amao.policy import Policy
from ringfence_amao.record import FAR, Record, recall, write


@define
class Served:
    """What one suspected client has been told."""

    group: stopping.Group = field(factory=stopping.Group)
    queries: int = 0
    flipped: int = 0
    replayed: int = 0


@frozen(eq=False)
class Asked:
    """The suspected queries of a batch, in the order sent: what is needed to decide on them."""

    clients: list[str]
    first: Tensor  #: ``(n,)``
    probs: Tensor  #: ``(n, K)``
    slacks: list[float]
    hashes: NDArray[np.uint64]  #: ``(n,)``; zeros where none is similar
    classes: NDArray[np.int64]  #: ``(n,)``, the victim's

    @classmethod
    def of(cls, queries: Queries, rows: Tensor, probs: Tensor, policy: Policy) -> Asked:
        """Hash the images of ``rows``, all at once."""
        own = probs[rows]
        if policy.radius < 0:
            hashes = np.zeros(len(rows), np.uint64)
        else:
            hashes = phash(queries.images[rows], policy.hash).cpu().numpy().view(np.uint64)
        clients = [queries.clients[row] for row in rows.tolist()]
        slacks, classes = stopping.slacks(own.tolist()), own.argmax(-1).cpu().numpy()
        return cls(clients, queries.first[rows], own, slacks, hashes, classes)


@define(eq=False)
class Decisions:
    """What becomes of the queries of one batch that share a record."""

    run: DefenseRun
    policy: Policy
    asked: Asked
    owner: str
    record: Record
    hashes: NDArray[np.uint64]
    classes: NDArray[np.int64]
    flipped: list[int] = field(factory=list)  #: places among those asked
    replayed: dict[int, int] = field(factory=dict)  #: places, and entries of the record

    @classmethod
    def of(
        cls, run: DefenseRun, policy: Policy, asked: Asked, owner: str, places: list[int]
    ) -> Decisions:
        """Go through the queries at ``places``."""
        hashes, classes = asked.hashes[places], asked.classes[places]
        found = cls(run, policy, asked, owner, Record.of(run, owner), hashes, classes)
        found._decide(places)
        return found

    def write(self, said: Mapping[int, Tensor]) -> None:
        """Remember the flips; ``said``: the answers by place."""
        if self.flipped and self.policy.radius >= 0:
            answers = torch.stack([said[place] for place in self.flipped])
            hashes, classes = self.asked.hashes[self.flipped], self.asked.classes[self.flipped]
            write(self.run, self.owner, hashes, classes, answers)

    def recorded(self) -> Tensor:
        """Return the answers ``(n, K)`` to those replayed, once the flips are written."""
        return recall(self.run, self.owner, list(self.replayed.values()))

    def _decide(self, places: list[int]) -> None:
        """A replay takes no place in a group; a flip may be replayed at once."""
        policy, asked, store = self.policy, self.asked, self.run.store
        distances, entries = self._nearest()
        for row, place in enumerate(places):
            client = asked.clients[place]
            state = store.state(client, Served)
            state.queries += 1
            if distances[row] <= policy.radius:
                state.replayed += 1
                self.replayed[place] = int(entries[row])
            elif self._flips(state.group, client, asked.slacks[place]):
                state.flipped += 1
                self.flipped.append(place)
                self._compare(row, distances, entries)

    def _nearest(self) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        if self.policy.radius < 0:
            size = len(self.hashes)
            return np.full(size, FAR, np.uint8), np.zeros(size, np.int64)
        same = self.policy.same_class
        return self.record.nearest(self.hashes, self.classes, same_class=same)

    def _compare(self, row: int, distances: NDArray[np.uint8], entries: NDArray[np.int64]) -> None:
        """Let later queries of the batch find the flip in ``row``, if it is nearer than others."""
        if self.policy.radius < 0:
            return
        later = slice(row + 1, None)
        new = Record(self.hashes[row : row + 1], self.classes[row : row + 1])
        same = self.policy.same_class
        away, _ = new.nearest(self.hashes[later], self.classes[later], same_class=same)
        nearer = away < distances[later]
        distances[later][nearer] = away[nearer]
        entries[later][nearer] = len(self.record) + len(self.flipped) - 1

    def _flips(self, group: stopping.Group, client: str, slack: float) -> bool:
        policy = self.policy
        if policy.reject is not None:
            return stopping.advance(group, slack, policy.period, policy.reject)
        draw = keyed_draw(self.run.secret, "place", client, group.number)
        return stopping.arrive(group, policy.period, int(draw * policy.period))
