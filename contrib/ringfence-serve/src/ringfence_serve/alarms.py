"""The first query from which on a detector suspects a client: an alarm, and evidence."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import msgspec
import sqlalchemy as sa
from attrs import define, field

from ringfence_serve import schema
from ringfence_serve.store import SqlStore

SUSPECTED = "suspected"


class Suspect(msgspec.Struct, frozen=True):
    """The body of an entry on a suspected client."""

    score: float  #: of the query at which it happened


@define(eq=False)
class Alarms:
    """One alarm per client and detector."""

    _store: SqlStore
    _rung: set[tuple[str, str]] = field(factory=set, init=False)
    _new: set[tuple[str, str]] = field(factory=set, init=False)  #: of the batch in progress

    def load(self) -> None:
        """Read who is suspected already."""
        columns = schema.alarms.c
        wanted = sa.select(columns.client, columns.detector)
        self._rung = {tuple(row) for row in self._store.database.connection().execute(wanted)}

    def ring(
        self,
        clients: Sequence[str],
        numbers: Sequence[int],
        judged: Sequence[Sequence[tuple[str, float, bool, bool]]],
    ) -> int:
        """Record whom a detector suspects for the first time; return how many that are."""
        rows: list[dict[str, Any]] = []
        for client, number, verdicts in zip(clients, numbers, judged, strict=True):
            for detector, score, _, suspected in verdicts:
                one = (client, detector)
                if suspected and one not in self._rung and one not in self._new:
                    self._new.add(one)
                    rows.append(self._alarm(client, detector, number, score))
        if rows:
            self._store.database.connection().execute(sa.insert(schema.alarms), rows)
        return len(rows)

    def settle(self, *, kept: bool) -> None:
        """Take the alarms of a batch as rung if it was kept; those of a lost one ring again."""
        if kept:
            self._rung |= self._new
        self._new.clear()

    def _alarm(self, client: str, detector: str, number: int, score: float) -> dict[str, Any]:
        body = msgspec.json.encode(Suspect(score))
        self._store.chain.add(SUSPECTED, client, plugin=detector, number=number, body=body)
        now = time.time_ns() // 1000
        told = {"client": client, "detector": detector, "number": number, "score": score}
        return {"time": now, **told}

    def untold(self, most: int = 20) -> list[dict[str, Any]]:
        """Return alarms that the webhook has not been told, oldest first."""
        columns = schema.alarms.c
        wanted = sa.select(schema.alarms).where(columns.told.is_(None)).order_by(columns.id)
        rows = self._store.database.connection().execute(wanted.limit(most))
        return [dict(row._mapping) for row in rows]

    def told(self, ids: Sequence[int]) -> None:
        """Take alarms as told."""
        columns = schema.alarms.c
        now = time.time_ns() // 1000
        update = sa.update(schema.alarms).where(columns.id.in_(list(ids))).values(told=now)
        with self._store.batch(()):
            self._store.database.connection().execute(update)

    def forget(self, client: str) -> None:
        """Let a pardoned client ring again."""
        table = schema.alarms
        self._store.database.connection().execute(sa.delete(table).where(table.c.client == client))
        self._rung = {one for one in self._rung if one[0] != client}
