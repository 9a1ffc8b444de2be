"""Respond: one flipped answer per group of a suspected client, and the same to look-alikes.

AMAO, section 4.4. Clients that no detector suspects get the victim's own answers.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

import torch
from attrs import define, field, frozen
from torch import Tensor

from ringfence.answers import refused
from ringfence.randomness import keyed_draw
from ringfence.run import DefenseRun
from ringfence.suspicion import suspected
from ringfence.types import Queries, Verdict
from ringfence_amao import flips, stopping
from ringfence_amao.phash import hamming, phash
from ringfence_amao.record import FAR, Record, write


@frozen
class Policy:
    """Which answers are changed, and into what."""

    period: int  #: queries of a group, which has one flip
    reject: int | None  #: how many of them pass at first; none: a random one is flipped
    label: str  #: least or random
    radius: int  #: bits up to which a query is similar to a recorded one; -1: none is
    same_class: bool  #: ... and the victim must give both the same class
    everybody: bool  #: one record for all suspected clients, not one for each
    hash: str


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
        guilty = self._guilty(queries, verdicts) & ~refused(probs)  # nothing to flip, or to keep
        if not guilty.any():
            return probs
        answers = probs.clone()
        for owner, rows in self._scopes(queries, guilty):
            batch = _Batch.of(self, owner, queries, rows, probs[rows])
            answers[rows] = batch.answers()
            self.run.store.mark(queries, rows[batch.flipped], "flipped")
            self.run.store.mark(queries, rows[batch.replayed], "replayed")
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

    def _scopes(self, queries: Queries, guilty: Tensor) -> Iterator[tuple[str, Tensor]]:
        """Yield the owner of each record with its suspected rows, in the order sent."""
        if self.policy.everybody:
            yield "", guilty.nonzero().flatten()
            return
        for client, rows in queries.by_client():
            if len(own := rows[guilty[rows]]):
                yield client, own


@define(eq=False)
class _Batch:
    """The queries of one batch that share a record, taken in the order sent."""

    replies: Replies
    owner: str
    record: Record
    clients: list[str]
    probs: Tensor  #: ``(n, K)``
    targets: Tensor
    hashes: Tensor
    classes: Tensor
    flipped: list[int] = field(factory=list)
    replayed: list[int] = field(factory=list)
    _sources: list[int] = field(factory=list)  #: of the replayed: entries, old and new

    @classmethod
    def of(
        cls, replies: Replies, owner: str, queries: Queries, rows: Tensor, probs: Tensor
    ) -> _Batch:
        policy, run = replies.policy, replies.run
        clients = [queries.clients[row] for row in rows.tolist()]
        if policy.label == "least":
            targets = flips.least(probs)
        else:
            targets = flips.other(probs, run.secret, clients, queries.first[rows].tolist())
        none = policy.radius < 0  # then nothing is hashed and nothing is kept
        hashes = rows if none else phash(queries.images[rows], policy.hash)
        record = Record.of(run, owner)
        return cls(replies, owner, record, clients, probs, targets, hashes, probs.argmax(-1))

    def answers(self) -> Tensor:
        """Decide on every query, remember the flips, and return what is said."""
        self._decide()
        answers, exchanged = self.probs.clone(), flips.exchanged(self.probs, self.targets)
        answers[self.flipped] = exchanged[self.flipped]
        new = (self.hashes[self.flipped], self.classes[self.flipped], exchanged[self.flipped])
        if self.flipped and self.replies.policy.radius >= 0:
            write(self.replies.run, self.owner, *new)
        if self.replayed:
            entries = Record.of(self.replies.run, self.owner).answers
            answers[self.replayed] = entries[self._sources]
        return answers

    def _decide(self) -> None:
        """Go through the queries: a replay takes no place in a group, a flip may be replayed."""
        policy, run = self.replies.policy, self.replies.run
        states = {client: run.store.state(client, Served) for client in set(self.clients)}
        distances, entries = self._nearest()
        slacks = stopping.slacks(self.probs.tolist())
        for row, client in enumerate(self.clients):
            state = states[client]
            state.queries += 1
            if distances[row] <= policy.radius:
                state.replayed += 1
                self.replayed.append(row)
                self._sources.append(entries[row])
            elif self._flips(state.group, client, slacks[row]):
                state.flipped += 1
                self.flipped.append(row)
                self._compare(row, distances, entries)

    def _nearest(self) -> tuple[list[int], list[int]]:
        if self.replies.policy.radius < 0:
            return [FAR] * len(self.clients), [0] * len(self.clients)
        same = self.replies.policy.same_class
        distances, entries = self.record.nearest(self.hashes, self.classes, same_class=same)
        return distances.tolist(), entries.tolist()

    def _compare(self, row: int, distances: list[int], entries: list[int]) -> None:
        """Let later queries of the batch find the flip in ``row``, if it is nearer than others."""
        if self.replies.policy.radius < 0:
            return
        away = hamming(self.hashes[row + 1 :], self.hashes[row])
        if self.replies.policy.same_class:
            away = away.masked_fill(self.classes[row + 1 :] != self.classes[row], FAR)
        entry = len(self.record) + len(self.flipped) - 1
        for later, distance in enumerate(away.tolist(), start=row + 1):
            if distance < distances[later]:
                distances[later], entries[later] = distance, entry

    def _flips(self, group: stopping.Group, client: str, slack: float) -> bool:
        policy = self.replies.policy
        if policy.reject is not None:
            return stopping.advance(group, slack, policy.period, policy.reject)
        draw = keyed_draw(self.replies.run.secret, "place", client, group.number)
        return stopping.arrive(group, policy.period, int(draw * policy.period))
