"""The ledger of a guard: marked answers, entries of the hash chain."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from typing import Any

import msgspec
import sqlalchemy as sa
import torch
from attrs import frozen
from torch import Tensor

from ringfence.types import Pairs, Queries
from ringfence_serve import pixels, schema
from ringfence_serve.chain import Chain, Entry
from ringfence_serve.database import Database

MARKED = "marked"


class Mark(msgspec.Struct, frozen=True):
    """The body of a marked entry: an image and the answer that was really sent."""

    shape: tuple[int, ...]
    image: bytes
    answer: bytes
    configuration: int  #: the entry that says which model and options were at work, or 0


@frozen(eq=False)
class SqlLedger:
    """A :class:`ringfence.protocols.MarkedAnswers` in the database."""

    _database: Database
    _chain: Chain

    def add(
        self,
        queries: Queries,
        sent: Tensor,
        altered: list[tuple[str, Tensor, str]],
        configuration: int = 0,
    ) -> None:
        """Add the altered rows (plugin, indices, kind) of one batch to the chain."""
        ready = [
            (plugin, kind, row, body)
            for plugin, rows, kind in altered
            for row, body in zip(
                rows.tolist(), _marks(queries, sent, rows, configuration), strict=True
            )
        ]
        for plugin, kind, row, body in ready:  # all of them, or none if one cannot be made
            client, number = queries.clients[row], int(queries.first[row])
            self._chain.add(MARKED, client, plugin=plugin, kind=kind, number=number, body=body)

    def pairs(
        self, client: str | None = None, plugin: str | None = None, kind: str | None = None
    ) -> Pairs:
        """Return the pairs that fit what is given; ``None`` fits all."""
        columns = schema.chain.c
        given = {columns.client: client, columns.plugin: plugin, columns.kind: kind}
        wanted = [column == value for column, value in given.items() if value is not None]
        found = list(self.entries(*wanted))
        if not found:
            return Pairs(torch.empty(0), torch.empty(0), ())
        images, answers = zip(*[pair(entry) for entry in found], strict=True)
        clients = tuple(entry.client for entry in found)
        return Pairs(torch.stack(images), torch.stack(answers), clients)

    def entries(self, *conditions: sa.ColumnElement[bool]) -> Iterator[Entry]:
        """Yield the entries of marked answers that meet ``conditions``."""
        with self._database.failing():
            yield from self._chain.entries(schema.chain.c.event == MARKED, *conditions)

    def memory(self) -> int:
        """Return the bytes of all images and answers as they are kept."""
        size = sa.func.sum(sa.func.length(schema.chain.c.body))
        wanted = sa.select(size).where(schema.chain.c.event == MARKED)
        with self._database.failing():
            return int(self._database.connection().scalar(wanted) or 0)

    def dump(self) -> list[dict[str, Any]]:
        """Return all marks, as :meth:`ringfence.protocols.MarkedAnswers.dump` says."""
        return dumped(self.entries())

    def load(self, marks: Iterable[Mapping[str, Any]]) -> None:
        """Add what any ledger has dumped to the chain."""
        for mark in marks:
            clients, rows = tuple(mark["clients"]), torch.arange(len(mark["clients"]))
            queries = Queries(mark["images"], clients, torch.full((len(clients),), -1))
            self.add(queries, mark["answers"], [(mark["plugin"], rows, mark["kind"])])


def dumped(entries: Iterator[Entry]) -> list[dict[str, Any]]:
    """Return entries of marked answers as a ledger is dumped."""
    found = []
    for (plugin, kind), group in groupby(entries, key=lambda entry: (entry.plugin, entry.kind)):
        own = list(group)
        images, answers = zip(*[pair(entry) for entry in own], strict=True)
        told = {"plugin": plugin, "kind": kind, "clients": [entry.client for entry in own]}
        found.append({**told, "images": torch.stack(images), "answers": torch.stack(answers)})
    return found


def pair(entry: Entry) -> tuple[Tensor, Tensor]:
    """Return the image ``(C, H, W)`` and the answer ``(K,)`` of a marked entry."""
    mark = msgspec.msgpack.decode(entry.body, type=Mark)
    return pixels.unpacked(mark.image, mark.shape), pixels.heard(mark.answer)


def _marks(queries: Queries, sent: Tensor, rows: Tensor, configuration: int) -> list[bytes]:
    """Return the bodies of entries on ``rows``."""
    images = queries.images[rows]
    shape = tuple(images.shape[1:])
    parts = zip(pixels.packed(images), pixels.told(sent[rows].cpu().numpy()), strict=True)
    return [msgspec.msgpack.encode(Mark(shape, *part, configuration)) for part in parts]
