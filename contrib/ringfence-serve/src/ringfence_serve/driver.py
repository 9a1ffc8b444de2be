"""What every batch executes, by the database's driver itself: SQLAlchemy takes longer than that.

Values come and go by their places, as the driver has them: bytes, numbers, texts.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any

import sqlalchemy as sa
from attrs import define, field
from sqlalchemy.dialects import postgresql, sqlite

Values = tuple[Any, ...]


@define(eq=False)
class Driver:
    """The driver behind one connection, with the texts of statements that were executed."""

    connection: sa.Connection
    _cursor: Any = field(init=False)
    _texts: dict[Hashable, str] = field(factory=dict, init=False)

    @_cursor.default
    def _make_cursor(self) -> Any:
        return self.connection.connection.cursor()

    def fetch(
        self, name: Hashable, made: Callable[[], sa.ClauseElement], values: Values
    ) -> list[Values]:
        """Return the rows of the query ``name``, which ``made`` makes the first time."""
        self._cursor.execute(self._text(name, made), values)
        return list(self._cursor.fetchall())

    def insert(self, table: sa.Table, rows: list[Values]) -> None:
        """Insert rows, each the values of all columns in their order."""
        self._cursor.executemany(self._text(table.name, lambda: sa.insert(table)), rows)

    def upsert(self, table: sa.Table, column: str, rows: list[Values]) -> None:
        """Insert rows, or replace ``column`` of those that are there."""

        def statement() -> sa.ClauseElement:
            postgres = self.connection.dialect.name == "postgresql"
            insert = (postgresql if postgres else sqlite).insert(table)
            keys, new = list(table.primary_key.columns), {column: insert.excluded[column]}
            made: sa.ClauseElement = insert.on_conflict_do_update(index_elements=keys, set_=new)
            return made

        self._cursor.executemany(self._text((table.name, column), statement), rows)

    def _text(self, name: Hashable, made: Callable[[], sa.ClauseElement]) -> str:
        if name not in self._texts:
            self._texts[name] = str(made().compile(dialect=self.connection.dialect))
        return self._texts[name]
