"""The one connection that writes: SQLite in its safest mode that is fast, or another by URL.

Exactly one connection of one process: SQLite before 3.51.3 may damage a WAL that two write to.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from attrs import define, field
from filelock import FileLock, Timeout
from sqlalchemy.dialects import postgresql, sqlite

from ringfence.errors import BadOption, RingfenceError
from ringfence_serve import schema

LOCK = 0x72696E67  #: of a guard in PostgreSQL; locks belong to one database
TURNS = 20  #: tenths of a second for which a connection that was lost may still hold it


Values = tuple[Any, ...]


class StoreUnavailable(RingfenceError):
    """The database failed; nothing of this batch was kept, and nobody was told its answers."""


class StoreInUse(RingfenceError):
    """Another process holds the database."""


@define(eq=False)
class Database:
    """A connection that is opened when it is first needed, and anew after it failed."""

    url: str = field(repr=False)
    _connection: sa.Connection | None = field(default=None, init=False)
    _lock: FileLock | None = field(default=None, init=False)
    _texts: dict[Hashable, str] = field(factory=dict, init=False)

    def connection(self) -> sa.Connection:
        """Return the connection; open it, and bring the tables up to date, if it is not."""
        if self._connection is None:
            with self.failing():
                self._claim()
                self._connection = self._opened()
                schema.prepare(self._connection)
        return self._connection

    def execute(self, statement: Any, rows: Any = None) -> Any:
        """Execute a statement in the transaction that is open."""
        with self.failing():
            return self.connection().execute(statement, rows)

    def insert(self, table: sa.Table, rows: list[Values]) -> None:
        """Insert rows, each the values of all columns in their order."""
        self.again(table.name, lambda: sa.insert(table), rows)

    def upsert(self, table: sa.Table, column: str, rows: list[Values]) -> None:
        """Insert rows, or replace ``column`` of those that are there."""

        def statement() -> sa.ClauseElement:
            postgres = self.connection().dialect.name == "postgresql"
            insert = (postgresql if postgres else sqlite).insert(table)
            keys, new = list(table.primary_key.columns), {column: insert.excluded[column]}
            made: sa.ClauseElement = insert.on_conflict_do_update(index_elements=keys, set_=new)
            return made

        self.again((table.name, column), statement, rows)

    def again(
        self, name: Hashable, made: Callable[[], sa.ClauseElement], values: Values | list[Values]
    ) -> list[Values]:
        """Execute what every batch executes; return the rows, if there are.

        Its text is made once, and the driver gets it directly: both take longer than the work.
        Values come and go by their places, as the driver has them: bytes, numbers, texts.
        """
        with self.failing():
            connection = self.connection()
            if name not in self._texts:
                self._texts[name] = str(made().compile(dialect=connection.dialect))
            cursor = connection.connection.cursor()
            if isinstance(values, list):
                cursor.executemany(self._texts[name], values)
                return []
            cursor.execute(self._texts[name], values)
            return list(cursor.fetchall())

    def commit(self) -> None:
        """Keep what was executed since the last commit."""
        with self.failing():
            connection = self.connection()
            connection.connection.commit()
            connection.commit()  # SQLAlchemy knows of no more than went through it

    def rollback(self) -> None:
        """Drop what was executed since the last commit."""
        with self.failing():
            connection = self.connection()
            connection.connection.rollback()
            connection.rollback()

    @contextmanager
    def failing(self) -> Iterator[None]:
        """Turn an error of the database into :class:`StoreUnavailable`.

        Whatever was in progress is lost, and so is the connection: a flush that failed is never
        tried again, for the system may have dropped what it could not write.
        """
        try:
            yield
        except (sa.exc.DBAPIError, sa.exc.InvalidRequestError, self._error()) as error:
            self.drop()
            why = str(getattr(error, "orig", error)).partition("\n")[0]
            raise StoreUnavailable(
                f"The database cannot be used ({why}). Check its disk; nothing that was answered "
                "is lost."
            ) from error

    def _error(self) -> type[Exception]:
        """Return what the driver raises."""
        driver = self._connection.dialect.dbapi if self._connection else None
        found: type[Exception] = driver.Error if driver else sa.exc.DBAPIError
        return found

    def drop(self) -> None:
        """Give up the connection, and what it has not committed."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.invalidate()
            connection.close()
            connection.engine.dispose()

    def close(self) -> None:
        """Give everything back."""
        if self._connection is not None:
            self.rollback()
            self._connection.close()
            self._connection.engine.dispose()
            self._connection = None
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    @property
    def file(self) -> Path | None:
        """The file of an SQLite database."""
        found = parsed(self.url).database
        kept = parsed(self.url).get_backend_name() == "sqlite" and found not in (None, ":memory:")
        return Path(str(found)) if kept else None

    def _claim(self) -> None:
        """Hold the lock of the file; the kernel frees it when its holder is killed."""
        if self.file is None or self._lock is not None:
            return
        self.file.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(f"{self.file}.lock", timeout=0, thread_local=False)
        try:
            lock.acquire()
        except Timeout:
            raise _in_use(str(self.file)) from None
        self._lock = lock

    def _opened(self) -> sa.Connection:
        url = parsed(self.url)
        given: dict[str, Any] = {"poolclass": sa.NullPool}
        if url.get_backend_name() == "sqlite":
            given["connect_args"] = {"check_same_thread": False}
        else:
            given["paramstyle"] = "format"  # values by their places, as in SQLite
        engine = sa.create_engine(url, **given)
        safely = {"sqlite": _safely_sqlite, "postgresql": _safely_postgresql}
        if url.get_backend_name() in safely:
            sa.event.listen(engine, "connect", safely[url.get_backend_name()])
        return engine.connect()


def parsed(url: str) -> sa.URL:
    """Return a database's URL in its parts."""
    try:
        return sa.make_url(url)
    except sa.exc.ArgumentError:
        raise BadOption(
            "The store's URL cannot be read. Give one like sqlite:///guard.db."
        ) from None


def _in_use(name: str) -> StoreInUse:
    return StoreInUse(f"{name} is in use by another process. Stop it, or choose another state.")


def _safely_sqlite(connection: Any, _: Any) -> None:
    """Let a commit be on the disk when it returns, and readers never wait."""
    larger = ("cache_size=-16384", "wal_autocheckpoint=4000")  # 16 MiB each, in memory and WAL
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "busy_timeout=2000", *larger):
        connection.execute(f"PRAGMA {pragma}")


def _safely_postgresql(connection: Any, _: Any) -> None:
    """The same; and hold a lock that the server frees when this connection is gone."""
    for _ in range(TURNS):
        if connection.execute("SELECT pg_try_advisory_lock(%s)", [LOCK]).fetchone()[0]:
            connection.execute("SET synchronous_commit TO on")
            connection.commit()
            return
        connection.rollback()
        time.sleep(0.1)
    connection.close()
    raise _in_use("The database")
