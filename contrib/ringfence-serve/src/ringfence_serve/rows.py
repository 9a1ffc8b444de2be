"""States and logs as rows of the database, in the transaction that is open."""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any

import sqlalchemy as sa
import torch
from attrs import frozen
from torch import Tensor

from ringfence.log import Log
from ringfence.state import Key
from ringfence_serve import schema, tensors
from ringfence_serve.database import Database
from ringfence_serve.driver import Values
from ringfence_serve.memory import Kept

PARTS = 64  #: pieces of a log from which on it is written as one
SOME = 500  #: clients of one statement, whose parameters are limited


@frozen(eq=False)
class Rows:
    """What the database has of clients."""

    database: Database

    def clients(self, names: Collection[str]) -> dict[str, Kept]:
        """Return clients with their states; a log is read when it is asked for."""
        found, ordered = {name: Kept() for name in names}, list(names)
        for start in range(0, len(ordered), SOME):
            some = schema.states.c.client.in_(ordered[start : start + SOME])
            for row in self.database.execute(sa.select(schema.states).where(some)):
                found[row.client].states[row.plugin, row.name] = json.loads(row.value)
                found[row.client].texts[row.plugin, row.name] = row.value
        return found

    def states(self, plugin: str, name: str) -> list[tuple[str, str]]:
        """Return clients with the text of one plugin's state of this name."""
        columns = schema.states.c
        wanted = sa.select(columns.client, columns.value).where(
            columns.plugin == plugin, columns.name == name
        )
        return [(client, text) for client, text in self.database.execute(wanted)]

    def log(self, key: Key, *, merge: bool) -> Log:
        """Return a log from its pieces; ``merge``: many are made one, by the way."""
        plugin, client, name = key
        columns = schema.logs.c
        own = (columns.client == client, columns.plugin == plugin, columns.name == name)
        found = self.database.execute(
            sa.select(schema.logs).where(*own).order_by(columns.start)
        ).all()
        if not found:
            return Log()
        rows = torch.cat([tensors.read(one.dtype, one.shape, one.rows) for one in found])
        if merge and len(found) > PARTS:
            self.database.execute(sa.delete(schema.logs).where(*own))
            self.database.insert(schema.logs, [piece(key, 0, rows)])
        return Log(rows, len(rows))

    def write(self, states: list[Values], logs: list[Values]) -> None:
        """Write states that changed, and what was added to logs."""
        if states:
            self.database.upsert(schema.states, "value", states)
        if logs:
            self.database.insert(schema.logs, logs)

    def forget(self, client: str, but: Collection[str]) -> None:
        """Delete what plugins remember of a client, ``but`` those of these plugins."""
        for table in (schema.states, schema.logs):
            own = (table.c.client == client, table.c.plugin.not_in(list(but)))
            self.database.execute(sa.delete(table).where(*own))

    def size(self) -> int:
        """Return the bytes of all states, as JSON, and of all logs."""
        sizes = (sa.func.length(schema.states.c.value), sa.func.length(schema.logs.c.rows))
        found = [self.database.execute(sa.select(sa.func.sum(size))).scalar() for size in sizes]
        return sum(int(size or 0) for size in found)

    def dump(self) -> dict[str, Any]:
        """Return all of it as plain values and tensors."""
        states = self.database.execute(sa.select(schema.states)).all()
        keys = [schema.logs.c.plugin, schema.logs.c.client, schema.logs.c.name]
        logs = self.database.execute(sa.select(*keys).distinct()).all()
        return {
            "states": [[s.plugin, s.client, s.name, json.loads(s.value)] for s in states],
            "logs": [[*key, self.log(tuple(key), merge=False).rows()] for key in logs],
        }


def piece(key: Key, start: int, rows: Tensor) -> Values:
    """Return the row of ``rows`` that were added to a log behind ``start`` others."""
    plugin, client, name = key
    return (client, plugin, name, start, *tensors.write(rows))
