"""The ledger: every answer that was altered on purpose, as it was really sent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from attrs import define, field, frozen
from torch import Tensor

from ringfence.types import Pairs, Queries


@frozen(eq=False)
class Marks:
    """What one plugin altered in one batch."""

    plugin: str
    kind: str
    clients: tuple[str, ...]
    images: Tensor  #: ``(N, C, H, W)``
    answers: Tensor  #: ``(N, K)``

    def of(self, client: str | None) -> Pairs:
        """Return the pairs of one client, or of all."""
        if client is None:
            return Pairs(self.images, self.answers, self.clients)
        rows = [row for row, name in enumerate(self.clients) if name == client]
        return Pairs(self.images[rows], self.answers[rows], (client,) * len(rows))


@define(eq=False)
class Ledger:
    """All marks, in the order sent."""

    _marks: list[Marks] = field(factory=list, init=False)

    def add(self, plugin: str, kind: str, queries: Queries, sent: Tensor, rows: Tensor) -> None:
        """Append the altered ``rows`` (indices) of one batch with what was sent."""
        clients = tuple(queries.clients[row] for row in rows.tolist())
        self._marks.append(Marks(plugin, kind, clients, queries.images[rows], sent[rows]))

    def pairs(
        self, client: str | None = None, plugin: str | None = None, kind: str | None = None
    ) -> Pairs:
        """Return the pairs that fit what is given; ``None`` fits all."""
        found = [
            marks.of(client)
            for marks in self._marks
            if plugin in (None, marks.plugin) and kind in (None, marks.kind)
        ]
        found = [pairs for pairs in found if len(pairs)]
        if not found:
            return Pairs(torch.empty(0), torch.empty(0), ())
        clients = tuple(name for pairs in found for name in pairs.clients)
        images, answers = ([getattr(p, part) for p in found] for part in ("images", "answers"))
        return Pairs(torch.cat(images), torch.cat(answers), clients)

    def memory(self) -> int:
        """Return the bytes of all images and answers."""
        return sum(marks.images.nbytes + marks.answers.nbytes for marks in self._marks)

    def dump(self) -> list[dict[str, Any]]:
        """Return all marks as plain values and tensors."""
        return [
            {
                "plugin": marks.plugin,
                "kind": marks.kind,
                "clients": list(marks.clients),
                "images": marks.images,
                "answers": marks.answers,
            }
            for marks in self._marks
        ]

    def load(self, dumped: list[Mapping[str, Any]]) -> None:
        """Replace all marks by those of a dump."""
        self._marks = [Marks(**{**one, "clients": tuple(one["clients"])}) for one in dumped]
