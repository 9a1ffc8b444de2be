"""Opens a database: SQLite in its safest mode that is fast, or another by URL; for one process.

Exactly one connection of one process: SQLite before 3.51.3 may damage a WAL that two write to.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from filelock import FileLock, Timeout

from ringfence.errors import BadOption, RingfenceError

LOCK = 0x72696E67  #: of a guard in PostgreSQL; locks belong to one database
TURNS = 20  #: tenths of a second for which a connection that was lost may still hold it


class StoreInUse(RingfenceError):
    """Another process holds the database."""


def file_of(url: str) -> Path | None:
    """Return the file of an SQLite database; nothing where there is none."""
    told = _parsed(url)
    kept = told.get_backend_name() == "sqlite" and told.database not in (None, ":memory:")
    return Path(str(told.database)) if kept else None


def claimed(file: Path) -> FileLock:
    """Hold the lock of a file; the kernel frees it when its holder is killed."""
    file.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(f"{file}.lock", timeout=0, thread_local=False)
    try:
        lock.acquire()
    except Timeout:
        raise _in_use(str(file)) from None
    return lock


def opened(url: str) -> sa.Connection:
    """Return a connection whose commits last."""
    told = _parsed(url)
    given: dict[str, Any] = {"poolclass": sa.NullPool}
    if told.get_backend_name() == "sqlite":
        given["connect_args"] = {"check_same_thread": False}
    else:
        given["paramstyle"] = "format"  # values by their places, as in SQLite
    engine = sa.create_engine(told, **given)
    safely = {"sqlite": _safely_sqlite, "postgresql": _safely_postgresql}
    if told.get_backend_name() in safely:
        sa.event.listen(engine, "connect", safely[told.get_backend_name()])
    return engine.connect()


def _parsed(url: str) -> sa.URL:
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
