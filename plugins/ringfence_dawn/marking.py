"""The responder at work: hash, decide, answer wrongly, mark."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from attrs import define, field
from torch import Tensor

from ringfence.answers import refused
from ringfence.run import DefenseRun
from ringfence.suspicion import suspected
from ringfence.types import Queries, Verdict
from ringfence_dawn.altering import permuted, swapped
from ringfence_dawn.choosing import chosen, digests, permutation, threshold
from ringfence_dawn.mapping import Embedded
from ringfence_dawn.mapping import Mapping as InputMapping

KIND = "wrong"  #: of this plugin's marks in the ledger


@define
class Tally:
    """How often one client asked, and was answered wrongly."""

    asked: int = 0
    marked: int = 0


@define(eq=False)
class Marker:
    """Answers a keyed share of all inputs with a keyed wrong class."""

    run: DefenseRun
    key: bytes = field(repr=False)
    rate: float
    soft: Literal["swap", "permute"]
    mapping: InputMapping
    driven_by: tuple[str, ...]

    def respond(self, queries: Queries, probs: Tensor, verdicts: Sequence[Verdict]) -> Tensor:
        """Return soft labels ``(N, K)``: the same to the same image, whoever asks and when."""
        able = ~refused(probs)
        if self.driven_by:
            able &= suspected(queries, verdicts, self.driven_by)
        rows, drawn = self._choose(queries, probs, able)
        self._count(queries, rows)
        if not rows:
            return probs
        where = torch.tensor(rows, device=probs.device)
        self.run.store.mark(queries, where, KIND)
        return probs.index_copy(0, where, self._wrong(probs[where], drawn))

    def report(self) -> Mapping[str, float]:
        """Say how many answers were wrong; with a mapping, what it makes of validation images."""
        tallies = self.run.store.states(Tally).values()
        asked, marked = sum(t.asked for t in tallies), sum(t.marked for t in tallies)
        told = {"asked": asked, "marked": marked, "rate": marked / asked if asked else 0.0}
        return told | (self._mapped() if isinstance(self.mapping, Embedded) else {})

    def _choose(
        self, queries: Queries, probs: Tensor, able: Tensor
    ) -> tuple[list[int], list[bytes]]:
        """Return the rows to answer wrongly, and their digests."""
        below = threshold(self.rate)
        every = digests(self.key, self.mapping.messages(queries.images, probs))
        allowed = able.tolist()
        rows = [n for n, one in enumerate(every) if allowed[n] and chosen(one, below)]
        return rows, [every[row] for row in rows]

    def _wrong(self, probs: Tensor, drawn: Sequence[bytes]) -> Tensor:
        """Return rows whose top class is another one, drawn from their digests."""
        tops = probs.argmax(-1)
        classes = probs.shape[1]
        orders = [permutation(d, top, classes) for d, top in zip(drawn, tops.tolist(), strict=True)]
        order = torch.tensor(orders, device=probs.device)
        labels = order.gather(1, tops[:, None])[:, 0]
        if self.soft == "permute":
            return permuted(probs, order, labels)
        return swapped(probs, tops, labels)

    def _count(self, queries: Queries, rows: Sequence[int]) -> None:
        marked = Counter(queries.clients[row] for row in rows)
        for client, asked in Counter(queries.clients).items():
            tally = self.run.store.state(client, Tally)
            tally.asked += asked
            tally.marked += marked[client]

    def _mapped(self) -> dict[str, float]:
        """Return the rate among validation images, and how many messages they share."""
        assert isinstance(self.mapping, Embedded)
        found = self.mapping.validation()
        below = threshold(self.rate)
        share = sum(chosen(one, below) for one in digests(self.key, found)) / len(found)
        return {
            "validation": len(found),
            "validation_rate": share,
            "validation_patterns": len(set(found)),
        }
