"""A store that lasts: states, logs and marks in a database, a transaction per batch.

Clients that were asked for last are kept in memory, up to a limit; the others come back from
the database. A batch that fails is rolled back, and the clients that it touched are read anew.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import cattrs
import sqlalchemy as sa
from attrs import define, field, validators
from torch import Tensor

from ringfence.batch import Batch, outside
from ringfence.errors import BadEvidence
from ringfence.exhibit import Exhibit
from ringfence.log import Log
from ringfence.state import Key
from ringfence.store import PluginStore
from ringfence.types import Queries
from ringfence_serve import schema
from ringfence_serve.chain import Chain, check
from ringfence_serve.configured import CONFIGURED, configured
from ringfence_serve.database import Database
from ringfence_serve.evidence import SqlLedger
from ringfence_serve.failpoints import failpoint
from ringfence_serve.memory import Memory
from ringfence_serve.remembered import Remembered
from ringfence_serve.rows import Rows

T = TypeVar("T")


@define(eq=False, on_setattr=[])  # what a batch sets needs no validators
class SqlStore:
    """A :class:`ringfence.protocols.Store` in an SQL database; SQLite is the default."""

    variant = "url"

    url: str = field(
        default="sqlite:///ringfence.db",
        repr=False,
        metadata={"help": "of the database, as SQLAlchemy writes it", "secret": True},
    )
    memory_mib: int = field(
        default=48,
        validator=validators.ge(1),
        metadata={"help": "of clients in memory; others come back from the database"},
    )
    database: Database = field(init=False)
    chain: Chain = field(init=False)
    ledger: SqlLedger = field(init=False)
    configuration: int = field(default=0, init=False)  #: the chain's entry on the guard at work
    _remembered: Remembered = field(init=False)
    _batch: Batch | None = field(default=None, init=False)

    @database.default
    def _make_database(self) -> Database:
        return Database(self.url)

    @chain.default
    def _make_chain(self) -> Chain:
        return Chain(self.database)

    @ledger.default
    def _make_ledger(self) -> SqlLedger:
        return SqlLedger(self.database, self.chain)

    @_remembered.default
    def _make_remembered(self) -> Remembered:
        return Remembered(Rows(self.database), Memory(self.memory_mib << 20))

    @contextmanager
    def batch(self, clients: Sequence[str]) -> Iterator[None]:
        """Surround one answer: keep what it changed, or nothing if it fails.

        Within a batch another one joins it. Further rows that belong to the answer are written
        through ``database`` before the batch ends.
        """
        if self._batch is not None:
            yield
            return
        self._batch = Batch()
        try:
            with self.database.failing():
                self._remembered.fetch(clients)
                yield
                self._remembered.write(self._batch)
                self.chain.write()
                failpoint("commit.before")
                self.database.commit()
                failpoint("commit.after")
            self.chain.written()
            self._remembered.keep(self._batch)
        except BaseException:
            self._undo(self._batch, clients)
            raise
        finally:
            self._batch = None

    def settle(self, queries: Queries, sent: Tensor, spared: Tensor | None = None) -> None:
        """Write the marked images with the answers that were really sent to the chain."""
        self.ledger.add(queries, sent, self.open().altered(sent, spared), self.configuration)

    def of(self, plugin: str) -> PluginStore:
        """Return the part of the store that belongs to one plugin."""
        return PluginStore(self, plugin)

    def open(self) -> Batch:
        """Return the answer in progress."""
        if self._batch is None:
            raise outside()
        return self._batch

    def state(self, key: Key, kind: type[T]) -> T:
        """Return the state itself: a batch that fails has it read anew."""
        return self._remembered.state(key, kind)

    def log(self, key: Key) -> Log:
        """Return a log as it is now."""
        return self._remembered.log(key, merge=self._batch is not None)

    def states(self, plugin: str, kind: type[T]) -> dict[str, T]:
        """Return copies of one plugin's states of this kind, by client."""
        with self.database.failing():
            rows = self._remembered.rows.states(plugin, kind.__qualname__)
        return {client: cattrs.structure(json.loads(text), kind) for client, text in rows}

    def forget(self, client: str, but: Collection[str] = ()) -> None:
        """Drop what plugins remember of a client, in this batch; ``but``: not those plugins."""
        self.open()
        self._remembered.forget(client, but)

    def memory(self) -> int:
        """Return the bytes of all states, as JSON, and of all logs."""
        with self.database.failing():
            return self._remembered.rows.size()

    def dump(self) -> dict[str, Any]:
        """Return everything as plain values and tensors."""
        with self.database.failing():
            return {**self._remembered.rows.dump(), "ledger": self.ledger.dump()}

    def clear(self) -> None:
        """Forget everything; refused where a guard has served, for that is evidence."""
        with self.database.failing():
            served = sa.select(schema.chain.c.seq).where(schema.chain.c.event == CONFIGURED)
            if self.database.execute(served.limit(1)).first():
                raise BadEvidence(
                    "This store holds the evidence of a guard, and a run would erase it. "
                    "Choose another database with -o sql.url=..."
                )
            for table in (schema.states, schema.logs, schema.chain):
                self.database.execute(sa.delete(table))
            self.database.commit()
        self._remembered.memory.clear()
        self.chain.undo()

    def load(self, dumped: Mapping[str, Any]) -> None:
        """Replace everything by what any store has dumped."""
        self.clear()
        with self.batch(()):
            batch = self.open()
            for plugin, client, name, state in dumped["states"]:
                self._remembered.put((plugin, client, name), state)
                batch.states[plugin, client, name] = state
            for plugin, client, name, rows in dumped["logs"]:
                log = self.log((plugin, client, name))
                batch.logs[plugin, client, name] = (log, 0)
                log.append(rows)
            self.ledger.load(dumped["ledger"])

    def exhibit(self) -> Exhibit:
        """Return the ledger with what was guarded last; raise if anything was changed."""
        with self.database.failing():
            check(self.chain.entries())
            made = list(self.chain.entries(schema.chain.c.event == CONFIGURED))
        if not made:
            raise BadEvidence("No guard has served from this store. Give the database of one.")
        return configured(made[-1].body, self.ledger)

    def _undo(self, batch: Batch, clients: Sequence[str]) -> None:
        """Drop what a failed batch has touched, from memory and from the connection."""
        self._remembered.drop(batch, clients)
        self.chain.undo()
        self.database.rollback()
