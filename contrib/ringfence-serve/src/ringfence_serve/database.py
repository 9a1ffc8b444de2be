"""The one connection that writes, and what becomes of it when the database fails."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from pathlib import Path
from types import TracebackType
from typing import Any

import sqlalchemy as sa
from attrs import define, field, frozen
from filelock import FileLock

from ringfence.errors import RingfenceError
from ringfence_serve import opening, schema
from ringfence_serve.driver import Driver, Values


class StoreUnavailable(RingfenceError):
    """The database failed; nothing of this batch was kept, and nobody was told its answers."""


@define(eq=False)
class Database:
    """A connection that is opened when it is first needed, and anew after it failed."""

    url: str = field(repr=False)
    _driver: Driver | None = field(default=None, init=False)
    _lock: FileLock | None = field(default=None, init=False)
    _failing: Failing = field(init=False)

    @_failing.default
    def _make_failing(self) -> Failing:
        return Failing(self)

    def connection(self) -> sa.Connection:
        """Return the connection; open it, and bring the tables up to date, if it is not."""
        return self._open().connection

    def execute(self, statement: Any, rows: Any = None) -> Any:
        """Execute a statement in the transaction that is open."""
        with self._failing:
            return self.connection().execute(statement, rows)

    def fetch(
        self, name: Hashable, made: Callable[[], sa.ClauseElement], values: Values
    ) -> list[Values]:
        """Return the rows of a query of every batch, see :class:`Driver`."""
        with self._failing:
            return self._open().fetch(name, made, values)

    def insert(self, table: sa.Table, rows: list[Values]) -> None:
        """Insert rows, each the values of all columns in their order."""
        with self._failing:
            self._open().insert(table, rows)

    def upsert(self, table: sa.Table, column: str, rows: list[Values]) -> None:
        """Insert rows, or replace ``column`` of those that are there."""
        with self._failing:
            self._open().upsert(table, column, rows)

    def commit(self) -> None:
        """Keep what was executed since the last commit."""
        with self._failing:
            connection = self.connection()
            connection.connection.commit()
            connection.commit()  # SQLAlchemy knows of no more than went through it

    def rollback(self) -> None:
        """Drop what was executed since the last commit."""
        with self._failing:
            connection = self.connection()
            connection.connection.rollback()
            connection.rollback()

    def failing(self) -> Failing:
        """Return what surrounds work on :meth:`connection`."""
        return self._failing

    def drop(self) -> None:
        """Give up the connection, and what it has not committed."""
        driver, self._driver = self._driver, None
        if driver is not None:
            driver.connection.invalidate()
            driver.connection.close()
            driver.connection.engine.dispose()

    def close(self) -> None:
        """Give everything back."""
        if self._driver is not None:
            self.rollback()
            self._driver.connection.close()
            self._driver.connection.engine.dispose()
            self._driver = None
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    @property
    def file(self) -> Path | None:
        """The file of an SQLite database."""
        return opening.file_of(self.url)

    def _open(self) -> Driver:
        if self._driver is None:
            with self._failing:
                if self.file is not None and self._lock is None:
                    self._lock = opening.claimed(self.file)
                self._driver = Driver(opening.opened(self.url))
                schema.prepare(self._driver.connection)
        return self._driver


@frozen(eq=False)
class Failing:
    """Turns an error of the database into :class:`StoreUnavailable`.

    Whatever was in progress is lost, and so is the connection: a flush that failed is never
    tried again, for the system may have dropped what it could not write.
    """

    _database: Database

    def __enter__(self) -> None:
        """Begin."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        """Give up the connection, and say so, if the database failed."""
        if error is None or not isinstance(error, self._ours()):
            return
        self._database.drop()
        why = str(getattr(error, "orig", error)).partition("\n")[0]
        raise StoreUnavailable(
            f"The database cannot be used ({why}). Check its disk; nothing that was answered "
            "is lost."
        ) from error

    def _ours(self) -> tuple[type[Exception], ...]:
        """Return what SQLAlchemy and the driver raise."""
        driver = self._database._driver
        raised: Any = driver.connection.dialect.dbapi if driver else None
        wrapped = (sa.exc.DBAPIError, sa.exc.InvalidRequestError)
        return (*wrapped, raised.Error) if raised else wrapped
