"""Respond: one flipped answer per group of a suspected client, and the same to look-alikes.

AMAO, section 4.4. Clients that no detector suspects get the victim's own answers.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np
import torch
from attrs import define, field, frozen
from numpy.typing import NDArray
from torch import Tensor

from ringfence.answers import refused
from ringfence.randomness import keyed_draw
from ringfence.run import DefenseRun
from ringfence.suspicion import suspected
from ringfence.types import Queries, Verdict
from ringfence_amao import flips, stopping
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


@define(eq=False)
class Replies:
    """The responder at work."""

    run: DefenseRun
    policy: Policy
    driven_by: Collection[str]
    always: bool = False  #: every client is treated as suspected

    def respond(self, queries: Queries, probs: Tensor, verdicts: Sequence[Verdict]) -> Tensor:
        """Return soft labels ``(N, K)``; rows of clients that are not suspected are untouched."""
        guilty = self._guilty(queries, verdicts)
        if not guilty.any():  # most of the time; the rest is for the others
            return probs
        rows = (guilty & ~refused(probs)).nonzero().flatten()  # nothing to flip, or to keep
        if not len(rows):
            return probs
        asked = Asked.of(queries, rows, probs, self.policy)
        batches = [_Batch.of(self, asked, *one) for one in self._scopes(asked).items()]
        answers = probs.clone()
        if flipped := sorted(place for batch in batches for place in batch.flipped):
            answers[rows[flipped]] = said = self._flipped(asked, flipped)
            for batch in batches:
                batch.write(dict(zip(flipped, said, strict=True)))
        for batch in batches:
            if batch.replayed:
                answers[rows[list(batch.replayed)]] = batch.recorded().to(answers.device)
        replayed = sorted(place for batch in batches for place in batch.replayed)
        self.run.store.mark(queries, rows[flipped], "flipped")
        self.run.store.mark(queries, rows[replayed], "replayed")
        return answers

    def report(self) -> Mapping[str, float]:
        """Say how often answers to suspected clients were flipped and replayed."""
        served = self.run.store.states(Served).values()
        total = sum(one.queries for one in served)
        counts = {
            "flipped": sum(one.flipped for one in served),
            "replayed": sum(one.replayed for one in served),
        }
        rates = {f"{name}_rate": n / total if total else 0.0 for name, n in counts.items()}
        return {"suspected_queries": total, **counts, **rates}

    def _guilty(self, queries: Queries, verdicts: Sequence[Verdict]) -> Tensor:
        if self.always:
            return torch.ones(len(queries.clients), dtype=torch.bool, device=queries.images.device)
        known = {verdict.detector for verdict in verdicts}
        own = {self.run.store.plugin} & known  # none where this plugin's detector was left out
        return suspected(queries, verdicts, self.driven_by or own)

    def _scopes(self, asked: Asked) -> dict[str, list[int]]:
        """Return the places among those asked of the owner of each record, in the order sent."""
        if self.policy.everybody:
            return {"": list(range(len(asked.clients)))}
        found: dict[str, list[int]] = {}
        for place, client in enumerate(asked.clients):
            found.setdefault(client, []).append(place)
        return found

    def _flipped(self, asked: Asked, places: list[int]) -> Tensor:
        """Return what is said instead ``(n, K)``."""
        probs = asked.probs[places]
        if self.policy.label == "least":
            return flips.exchanged(probs, flips.least(probs))
        clients = [asked.clients[place] for place in places]
        numbers = asked.first[places].tolist()
        return flips.exchanged(probs, flips.other(probs, self.run.secret, clients, numbers))


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
class _Batch:
    """The queries of one batch that share a record, decided on in the order sent."""

    replies: Replies
    asked: Asked
    owner: str
    record: Record
    hashes: NDArray[np.uint64]
    classes: NDArray[np.int64]
    flipped: list[int] = field(factory=list)  #: places among those asked
    replayed: dict[int, int] = field(factory=dict)  #: places, and entries of the record

    @classmethod
    def of(cls, replies: Replies, asked: Asked, owner: str, places: list[int]) -> _Batch:
        """Go through the queries at ``places``."""
        record = Record.of(replies.run, owner)
        batch = cls(replies, asked, owner, record, asked.hashes[places], asked.classes[places])
        batch._decide(places)
        return batch

    def write(self, said: Mapping[int, Tensor]) -> None:
        """Remember the flips; ``said``: the answers by place."""
        if self.flipped and self.replies.policy.radius >= 0:
            answers = torch.stack([said[place] for place in self.flipped])
            hashes, classes = self.asked.hashes[self.flipped], self.asked.classes[self.flipped]
            write(self.replies.run, self.owner, hashes, classes, answers)

    def recorded(self) -> Tensor:
        """Return the answers ``(n, K)`` to those replayed, once the flips are written."""
        return recall(self.replies.run, self.owner, list(self.replayed.values()))

    def _decide(self, places: list[int]) -> None:
        """A replay takes no place in a group; a flip may be replayed at once."""
        policy, asked, store = self.replies.policy, self.asked, self.replies.run.store
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
        if self.replies.policy.radius < 0:
            size = len(self.hashes)
            return np.full(size, FAR, np.uint8), np.zeros(size, np.int64)
        same = self.replies.policy.same_class
        return self.record.nearest(self.hashes, self.classes, same_class=same)

    def _compare(self, row: int, distances: NDArray[np.uint8], entries: NDArray[np.int64]) -> None:
        """Let later queries of the batch find the flip in ``row``, if it is nearer than others."""
        if self.replies.policy.radius < 0:
            return
        later = slice(row + 1, None)
        new = Record(self.hashes[row : row + 1], self.classes[row : row + 1])
        same = self.replies.policy.same_class
        away, _ = new.nearest(self.hashes[later], self.classes[later], same_class=same)
        nearer = away < distances[later]
        distances[later][nearer] = away[nearer]
        entries[later][nearer] = len(self.record) + len(self.flipped) - 1

    def _flips(self, group: stopping.Group, client: str, slack: float) -> bool:
        policy = self.replies.policy
        if policy.reject is not None:
            return stopping.advance(group, slack, policy.period, policy.reject)
        draw = keyed_draw(self.replies.run.secret, "place", client, group.number)
        return stopping.arrive(group, policy.period, int(draw * policy.period))
