"""A store that lasts: states, logs and marks in a database, a transaction per batch.

Clients that were asked for last are kept in memory, up to a limit; the others come back from
the database. A batch that fails is rolled back, and the clients that it touched are read anew.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import cattrs
import sqlalchemy as sa
import torch
from attrs import define, field, validators
from torch import Tensor

from ringfence.errors import BadEvidence
from ringfence.exhibit import Exhibit
from ringfence.log import Log
from ringfence.store import STATE_LIMIT, Batch, Key, PluginStore, outside, plain
from ringfence.types import Queries
from ringfence_serve import schema, tensors
from ringfence_serve.chain import Chain, check
from ringfence_serve.configured import CONFIGURED, configured
from ringfence_serve.database import Database
from ringfence_serve.evidence import SqlLedger
from ringfence_serve.failpoints import failpoint

T = TypeVar("T")
PARTS = 64  #: pieces of a log from which on it is written as one
INSERT_LOGS = sa.insert(schema.logs)  #: made once: its key in SQLAlchemy's cache is, too
OVERHEAD = 2048  #: bytes of a client in memory beside its logs, measured


@define
class _Kept:
    """What is in memory of one client."""

    states: dict[tuple[str, str], Any] = field(factory=dict)  #: objects, or plain dicts
    texts: dict[tuple[str, str], str] = field(factory=dict)  #: as the database has them
    logs: dict[tuple[str, str], Log] = field(factory=dict)
    size: int = OVERHEAD

    def grown(self) -> int:
        """Measure again; return by how much it grew."""
        before = self.size
        logs = (log.rows().untyped_storage().nbytes() for log in self.logs.values())
        self.size = OVERHEAD + sum(logs)
        return self.size - before


@define(eq=False)
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
    _clients: OrderedDict[str, _Kept] = field(factory=OrderedDict, init=False)
    _bytes: int = field(default=0, init=False)  #: of clients in memory
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

    @contextmanager
    def batch(self, clients: Sequence[str]) -> Iterator[None]:
        """Surround one answer: keep what it changed, or nothing if it fails.

        Within a batch another one joins it. Further rows that belong to the answer are written
        through ``database.connection()`` before the batch ends.
        """
        if self._batch is not None:
            yield
            return
        self._batch = Batch()
        try:
            with self.database.failing():
                self._fetch(set(clients) - self._clients.keys())
            yield
            with self.database.failing():
                self._write(self._batch)
                self.chain.write()
                failpoint("commit.before")
                self.database.connection().commit()
                failpoint("commit.after")
            self.chain.written()
            self._evict(self._batch)
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
        plugin, client, name = key
        kept = self._kept(client).states
        found = kept.get((plugin, name))
        if not isinstance(found, kind):
            found = kind() if found is None else cattrs.structure(found, kind)
            kept[plugin, name] = found
        return found

    def log(self, key: Key) -> Log:
        """Return a log as it is now."""
        plugin, client, name = key
        kept = self._kept(client).logs
        if (plugin, name) not in kept:
            with self.database.failing():
                kept[plugin, name] = self._read_log(key)
        return kept[plugin, name]

    def states(self, plugin: str, kind: type[T]) -> dict[str, T]:
        """Return copies of one plugin's states of this kind, by client."""
        columns = schema.states.c
        wanted = sa.select(columns.client, columns.value).where(
            columns.plugin == plugin, columns.name == kind.__qualname__
        )
        with self.database.failing():
            rows = self.database.connection().execute(wanted).all()
        return {client: cattrs.structure(json.loads(text), kind) for client, text in rows}

    def forget(self, client: str, but: Collection[str] = ()) -> None:
        """Drop what plugins remember of a client, in this batch; ``but``: not those plugins."""
        self.open()
        for table in (schema.states, schema.logs):
            own = (table.c.client == client, table.c.plugin.not_in(list(but)))
            with self.database.failing():
                self.database.connection().execute(sa.delete(table).where(*own))
        kept = self._kept(client)
        for known in (kept.states, kept.texts, kept.logs):
            for key in [key for key in known if key[0] not in but]:
                del known[key]

    def memory(self) -> int:
        """Return the bytes of all states, as JSON, and of all logs."""
        sizes = (sa.func.length(schema.states.c.value), sa.func.length(schema.logs.c.rows))
        with self.database.failing():
            connection = self.database.connection()
            return sum(int(connection.scalar(sa.select(sa.func.sum(size))) or 0) for size in sizes)

    def dump(self) -> dict[str, Any]:
        """Return everything as plain values and tensors."""
        with self.database.failing():
            connection = self.database.connection()
            states = connection.execute(sa.select(schema.states)).all()
            keys = [schema.logs.c.plugin, schema.logs.c.client, schema.logs.c.name]
            logs = connection.execute(sa.select(*keys).distinct()).all()
            return {
                "states": [[s.plugin, s.client, s.name, json.loads(s.value)] for s in states],
                "logs": [[*key, self._read_log(tuple(key)).rows()] for key in logs],
                "ledger": self.ledger.dump(),
            }

    def clear(self) -> None:
        """Forget everything; refused where a guard has served, for that is evidence."""
        with self.database.failing():
            connection = self.database.connection()
            served = sa.select(schema.chain.c.seq).where(schema.chain.c.event == CONFIGURED)
            if connection.execute(served.limit(1)).first():
                raise BadEvidence(
                    "This store holds the evidence of a guard, and a run would erase it. "
                    "Choose another database with -o sql.url=..."
                )
            for table in (schema.states, schema.logs, schema.chain):
                connection.execute(sa.delete(table))
            connection.commit()
        self._clients.clear()
        self._bytes = 0
        self.chain.undo()

    def load(self, dumped: Mapping[str, Any]) -> None:
        """Replace everything by what any store has dumped."""
        self.clear()
        with self.batch(()):
            batch = self.open()
            for plugin, client, name, state in dumped["states"]:
                self._kept(client).states[plugin, name] = state
                batch.states[plugin, client, name] = state
            for plugin, client, name, rows in dumped["logs"]:
                log = self.log((plugin, client, name))
                batch.logs[plugin, client, name] = (log, 0)
                log.append(rows)
            for mark in dumped["ledger"]:
                self._load_mark(mark)

    def exhibit(self) -> Exhibit:
        """Return the ledger with what was guarded last; raise if anything was changed."""
        with self.database.failing():
            check(self.chain.entries())
            made = list(self.chain.entries(schema.chain.c.event == CONFIGURED))
        if not made:
            raise BadEvidence("No guard has served from this store. Give the database of one.")
        return configured(made[-1].body, self.ledger)

    def _load_mark(self, mark: Mapping[str, Any]) -> None:
        clients, rows = tuple(mark["clients"]), torch.arange(len(mark["clients"]))
        queries = Queries(mark["images"], clients, torch.full((len(clients),), -1))
        self.ledger.add(queries, mark["answers"], [(mark["plugin"], rows, mark["kind"])])

    def _kept(self, client: str) -> _Kept:
        if client not in self._clients:
            with self.database.failing():
                self._fetch({client})
        return self._clients[client]

    def _fetch(self, clients: Collection[str]) -> None:
        """Read the states of clients that are not in memory."""
        names = list(clients)
        self._clients |= {client: _Kept() for client in names}
        self._bytes += OVERHEAD * len(names)
        for start in range(0, len(names), 500):  # parameters of one statement are limited
            some = schema.states.c.client.in_(names[start : start + 500])
            rows = self.database.connection().execute(sa.select(schema.states).where(some))
            for row in rows:
                kept = self._clients[row.client]
                kept.states[row.plugin, row.name] = json.loads(row.value)
                kept.texts[row.plugin, row.name] = row.value

    def _read_log(self, key: Key) -> Log:
        """Return a log from its pieces; many are made one, by the way."""
        plugin, client, name = key
        columns = schema.logs.c
        own = (columns.client == client, columns.plugin == plugin, columns.name == name)
        connection = self.database.connection()
        wanted = sa.select(schema.logs).where(*own).order_by(columns.start)
        found = connection.execute(wanted).all()
        if not found:
            return Log()
        rows = torch.cat([tensors.read(one.dtype, one.shape, one.rows) for one in found])
        if len(found) > PARTS and self._batch is not None:
            connection.execute(sa.delete(schema.logs).where(*own))
            connection.execute(sa.insert(schema.logs), [_piece(key, 0, rows)])
        return Log(rows, len(rows))

    def _write(self, batch: Batch) -> None:
        """Write the states that changed, and what was added to logs."""
        changed = [row for key, state in batch.states.items() if (row := self._changed(key, state))]
        if changed:
            upsert = self.database.upsert(schema.states, "value")
            self.database.connection().execute(upsert, changed)
        grown = [
            _piece(key, size, log.rows()[size:])
            for key, (log, size) in batch.logs.items()
            if len(log) > size
        ]
        if grown:
            self.database.connection().execute(INSERT_LOGS, grown)

    def _changed(self, key: Key, state: Any) -> dict[str, str] | None:
        """Return the row of a state; nothing where the database has it already."""
        plugin, client, name = key
        text = _text(key, state)
        texts = self._kept(client).texts
        if texts.get((plugin, name)) == text:
            return None
        texts[plugin, name] = text
        return {"client": client, "plugin": plugin, "name": name, "value": text}

    def _undo(self, batch: Batch, clients: Sequence[str]) -> None:
        """Drop what a failed batch has touched, from memory and from the connection."""
        touched = {key[1] for key in (*batch.states, *batch.logs)} | set(clients)
        for client in touched:
            if (kept := self._clients.pop(client, None)) is not None:
                self._bytes -= kept.size
        self.chain.undo()
        with self.database.failing():
            self.database.connection().rollback()

    def _evict(self, batch: Batch) -> None:
        """Keep in memory whom the batch touched, and of the others those seen last."""
        for client in {key[1] for key in (*batch.states, *batch.logs)}:
            self._clients.move_to_end(client)
            self._bytes += self._clients[client].grown()
        while self._bytes > self.memory_mib << 20 and len(self._clients) > 1:
            _, kept = self._clients.popitem(last=False)
            self._bytes -= kept.size


def _text(key: Key, state: Any) -> str:
    """Return a state as JSON; refuse what is too large or not plain."""
    try:
        text = json.dumps(state if isinstance(state, dict) else cattrs.unstructure(state))
    except TypeError:
        text = json.dumps(plain(key, state))  # which says what is wrong
    if len(text) > STATE_LIMIT:
        plain(key, state)
    return text


def _piece(key: Key, start: int, rows: Tensor) -> dict[str, Any]:
    plugin, client, name = key
    written = tensors.write(rows)
    return {"plugin": plugin, "client": client, "name": name, "start": start, **written}
