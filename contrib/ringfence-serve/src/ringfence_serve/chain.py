"""The hash chain: each entry's digest covers all of it and the digest before.

Who changes, moves or removes an entry changes every digest after it. Whoever saw a digest at
some time knows that all entries up to it existed then, as they are.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec
import sqlalchemy as sa
from attrs import define, field

from ringfence.errors import BadEvidence
from ringfence_serve import schema
from ringfence_serve.database import Database

SCHEME = b"ringfence-chain-1"
START = hashlib.sha256(SCHEME).digest()  #: what stands before the first entry


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One fact, in the order in which it became one; ``time`` is the machine's clock's, in us."""

    seq: int
    time: int
    event: str  #: marked, configured, suspected, added, revoked, pardoned, trusted ...
    client: str
    plugin: str
    kind: str
    number: int  #: of the client's query, or -1
    body: bytes
    digest: bytes = b""

    def content(self) -> bytes:
        """Return a digest of all that this entry says, its place in the chain aside."""
        numbers = (self.time, self.number)
        texts = (self.event, self.client, self.plugin, self.kind)
        return _hash([*(str(n).encode() for n in numbers), *(t.encode() for t in texts), self.body])


class Head(msgspec.Struct, frozen=True):
    """The last entry of a chain: what one commits to."""

    seq: int = 0
    digest: bytes = START


def link(before: bytes, seq: int, content: bytes) -> bytes:
    """Return the digest of the entry ``seq`` of that content behind one of the digest ``before``.

    Content counts by its digest, so that a chain can be shown without what others did.
    """
    return _hash([before, str(seq).encode(), content])


def _hash(parts: Iterable[bytes]) -> bytes:
    made = hashlib.sha256(SCHEME)
    for part in parts:
        made.update(len(part).to_bytes(8, "big") + part)
    return made.digest()


@define(eq=False)
class Chain:
    """The chain of a database. Entries are added within a batch, and written with it."""

    _database: Database
    _head: Head | None = field(default=None, init=False)
    _new: list[Entry] = field(factory=list, init=False)

    def head(self) -> Head:
        """Return the last entry, those not yet written included."""
        if self._head is None:
            last = sa.select(schema.chain).order_by(schema.chain.c.seq.desc()).limit(1)
            with self._database.failing():
                row = self._database.connection().execute(last).first()
            self._head = Head(row.seq, row.digest) if row else Head()
        return self._head

    def add(
        self,
        event: str,
        client: str = "",
        *,
        plugin: str = "",
        kind: str = "",
        number: int = -1,
        body: bytes = b"",
    ) -> Entry:
        """Append an entry; it is kept once the batch is."""
        head = self.head()
        now = time.time_ns() // 1000
        told: dict[str, Any] = {"plugin": plugin, "kind": kind, "number": number, "body": body}
        entry = Entry(seq=head.seq + 1, time=now, event=event, client=client, **told)
        whole = msgspec.structs.replace(entry, digest=link(head.digest, entry.seq, entry.content()))
        self._new.append(whole)
        self._head = Head(whole.seq, whole.digest)
        return whole

    def write(self) -> None:
        """Insert what was added since the last commit."""
        if self._new:
            rows = [msgspec.structs.astuple(entry) for entry in self._new]
            self._database.insert(schema.chain, rows)

    def written(self) -> None:
        """Take what was added as kept."""
        self._new.clear()

    def undo(self) -> None:
        """Forget what was added since the last commit."""
        self._new.clear()
        self._head = None

    def entries(self, *conditions: sa.ColumnElement[bool]) -> Iterator[Entry]:
        """Yield the written entries that meet ``conditions``, in order."""
        wanted = sa.select(schema.chain).where(*conditions).order_by(schema.chain.c.seq)
        for row in self._database.connection().execute(wanted):
            yield entry_of(row)


def entry_of(row: Any) -> Entry:
    """Return a row of the table as an entry."""
    return Entry(**row._mapping)


def check(entries: Iterable[Entry], commitment: Head | None = None) -> Head:
    """Return the last of ``entries``; raise :class:`BadEvidence` where they are no whole chain.

    ``commitment``: an entry that was once the last one, and must be among them.
    """
    head, met = Head(), commitment is None or commitment == Head()
    for entry in entries:
        wanted = link(head.digest, entry.seq, entry.content())
        if entry.seq != head.seq + 1 or entry.digest != wanted:
            raise BadEvidence(
                f"Evidence was changed: entry {head.seq + 1} does not follow from those before it. "
                "Nothing from here on proves anything."
            )
        head = Head(entry.seq, entry.digest)
        met = met or head == commitment
    if not met and commitment is not None:
        raise BadEvidence(
            f"Evidence was changed: there is no entry {commitment.seq} with the digest "
            f"{commitment.digest.hex()}, which was committed to."
        )
    return head
