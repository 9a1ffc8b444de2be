"""The ledger: every answer that was altered on purpose, as it was really sent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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

    @classmethod
    def of_batch(
        cls, plugin: str, kind: str, queries: Queries, sent: Tensor, rows: Tensor
    ) -> Marks:
        """Return the altered ``rows`` (indices) of one batch with what was sent."""
        clients = tuple(queries.clients[row] for row in rows.tolist())
        return cls(plugin, kind, clients, queries.images[rows], sent[rows])

    def rows(self) -> dict[str, list[int]]:
        """Return the rows of each client."""
        found: dict[str, list[int]] = {}
        for row, client in enumerate(self.clients):
            found.setdefault(client, []).append(row)
        return found


@define(eq=False)
class Ledger:
    """All marks, in the order sent."""

    _marks: list[Marks] = field(factory=list, init=False)
    #: per client: marks, and its rows among them
    _index: dict[str, list[tuple[Marks, list[int]]]] = field(factory=dict, init=False)

    def add(self, marks: Marks) -> None:
        """Append what was altered in one batch."""
        self._marks.append(marks)
        for client, rows in marks.rows().items():
            self._index.setdefault(client, []).append((marks, rows))

    def pairs(
        self, client: str | None = None, plugin: str | None = None, kind: str | None = None
    ) -> Pairs:
        """Return the pairs that fit what is given; ``None`` fits all."""
        everything = [(marks, list(range(len(marks.clients)))) for marks in self._marks]
        found = [
            (marks, rows)
            for marks, rows in (everything if client is None else self._index.get(client, []))
            if plugin in (None, marks.plugin) and kind in (None, marks.kind)
        ]
        if not found:
            return Pairs(torch.empty(0), torch.empty(0), ())
        images = torch.cat([marks.images[rows] for marks, rows in found])
        answers = torch.cat([marks.answers[rows] for marks, rows in found])
        clients = tuple(marks.clients[row] for marks, rows in found for row in rows)
        return Pairs(images, answers, clients)

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

    def load(self, dumped: Sequence[Mapping[str, Any]]) -> None:
        """Replace all marks by those of a dump."""
        self._marks, self._index = [], {}
        for one in dumped:
            self.add(Marks(**{**one, "clients": tuple(one["clients"])}))
