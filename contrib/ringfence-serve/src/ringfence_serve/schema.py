"""The tables of a guard's database, their version, and how an older one becomes this one."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import sqlalchemy as sa

from ringfence.errors import RingfenceError

VERSION = 1
LONGEST = 128  #: characters of a client's name

tables = sa.MetaData()
_name = sa.String(LONGEST)

meta = sa.Table(
    "meta",
    tables,
    sa.Column("name", _name, primary_key=True),
    sa.Column("value", sa.Text, nullable=False),
)

#: What plugins remember of clients: rewritten whole.
states = sa.Table(
    "states",
    tables,
    sa.Column("client", _name, primary_key=True),
    sa.Column("plugin", _name, primary_key=True),
    sa.Column("name", _name, primary_key=True),
    sa.Column("value", sa.Text, nullable=False),
    sqlite_with_rowid=False,
)

#: What only grows: the rows that one batch added to one log.
logs = sa.Table(
    "logs",
    tables,
    sa.Column("client", _name, primary_key=True),
    sa.Column("plugin", _name, primary_key=True),
    sa.Column("name", _name, primary_key=True),
    sa.Column("start", sa.BigInteger, primary_key=True),
    sa.Column("dtype", sa.String(16), nullable=False),
    sa.Column("shape", sa.Text, nullable=False),
    sa.Column("rows", sa.LargeBinary, nullable=False),
    sqlite_with_rowid=False,
)

#: The hash chain: every marked answer and every decision about a client.
chain = sa.Table(
    "chain",
    tables,
    sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("time", sa.BigInteger, nullable=False),
    sa.Column("event", _name, nullable=False),
    sa.Column("client", _name, nullable=False),
    sa.Column("plugin", _name, nullable=False),
    sa.Column("kind", _name, nullable=False),
    sa.Column("number", sa.BigInteger, nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sa.Column("digest", sa.LargeBinary(32), nullable=False),
    sa.Index("chain_client", "client", "seq"),
)

#: Every query: what was asked, what detectors thought, what was told.
queries = sa.Table(
    "queries",
    tables,
    sa.Column("client", _name, primary_key=True),
    sa.Column("number", sa.BigInteger, primary_key=True),
    sa.Column("time", sa.BigInteger, nullable=False),
    sa.Column("image", sa.LargeBinary(16), nullable=False),  # a digest of client and image
    sa.Column("answer", sa.LargeBinary, nullable=False),  # what was sent
    sa.Column("instead", sa.LargeBinary),  # what responders made of it, where that was not sent
    sa.Column("verdicts", sa.LargeBinary, nullable=False),
    sa.Column("flagged", sa.Boolean, nullable=False),
    sa.Column("changed", sa.Boolean, nullable=False),
    sa.Column("pixels", sa.LargeBinary),  # of flagged and changed ones
    sa.Index("queries_image", "image"),
    sqlite_with_rowid=False,
)

#: Who may ask. Of a key only the SHA-256 is kept.
clients = sa.Table(
    "clients",
    tables,
    sa.Column("name", _name, primary_key=True),
    sa.Column("key_id", sa.String(16), nullable=False, unique=True),
    sa.Column("key_digest", sa.LargeBinary(32), nullable=False),
    sa.Column("added", sa.BigInteger, nullable=False),
    sa.Column("revoked", sa.BigInteger),
    sa.Column("trusted", sa.Boolean, nullable=False, default=False),
    sa.Column("quota", sa.BigInteger),
    sa.Column("rate", sa.Float),
)

#: Replies to queries with an id: the same id gets the same reply, and is counted once.
replies = sa.Table(
    "replies",
    tables,
    sa.Column("client", _name, primary_key=True),
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("time", sa.BigInteger, nullable=False),
    sa.Column("request", sa.LargeBinary(32), nullable=False),
    sa.Column("reply", sa.LargeBinary, nullable=False),
    sa.Index("replies_time", "time"),
)

#: One per client and detector that came to suspect it; ``told``: the webhook has it.
alarms = sa.Table(
    "alarms",
    tables,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("time", sa.BigInteger, nullable=False),
    sa.Column("client", _name, nullable=False),
    sa.Column("detector", _name, nullable=False),
    sa.Column("number", sa.BigInteger, nullable=False),
    sa.Column("score", sa.Float, nullable=False),
    sa.Column("told", sa.BigInteger),
)

#: version: what turns a database of it into the next one
MIGRATIONS: Mapping[int, Callable[[sa.Connection], None]] = {}


def prepare(connection: sa.Connection) -> None:
    """Make the tables, or bring those of an older version up to this one; then commit."""
    tables.create_all(connection, tables=[meta])
    found = connection.scalar(sa.select(meta.c.value).where(meta.c.name == "version"))
    version = VERSION if found is None else int(found)
    if version > VERSION:
        raise RingfenceError(
            f"The database has version {version}, but this program knows {VERSION}. "
            "Install a newer ringfence-serve."
        )
    for older in range(version, VERSION):
        MIGRATIONS[older](connection)
    tables.create_all(connection)
    if found is None:
        connection.execute(sa.insert(meta).values(name="version", value=str(VERSION)))
    elif version < VERSION:
        told = sa.update(meta).where(meta.c.name == "version")
        connection.execute(told.values(value=str(VERSION)))
    connection.commit()
