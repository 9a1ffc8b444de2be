"""Requests with an id: the same id gets the same reply, and is counted once."""

from __future__ import annotations

import time
from collections.abc import Sequence

import sqlalchemy as sa
from attrs import define, field

from ringfence_serve import pixels, schema
from ringfence_serve.asks import Ask, Refusal, Reply
from ringfence_serve.database import Database

KEPT_REPLIES = 24 * 3600 * 1_000_000  #: microseconds for which an id gets the same reply


@define(eq=False)
class Ids:
    """The replies that ids have got, in the transaction of the batch."""

    database: Database
    _pruned: float = field(default=0.0, init=False)

    def known(self, asks: Sequence[Ask]) -> dict[int, Reply]:
        """Return the replies to ids that were answered before, and refuse their abuse."""
        found: dict[int, Reply] = {}
        for place, ask in enumerate(asks):
            if ask.id is None:
                continue
            if any(ask.id == a.id and ask.client == a.client for a in asks[:place]):
                found[place] = Refusal(409, "id_in_use", "A request with this id is in progress.")
            elif replied := self.database.fetch("replied", _replied, (ask.client, ask.id)):
                ((request, reply),) = replied
                same = request == ask.digest
                mixed = Refusal(422, "id_reused", "This id belongs to a request with other images.")
                found[place] = pixels.numbers(reply).reshape(ask.size, -1) if same else mixed
        return found

    def remember(self, answered: Sequence[tuple[Ask, Reply]]) -> None:
        """Keep the replies to requests with an id."""
        rows = [
            (ask.client, ask.id, time.time_ns() // 1000, ask.digest, b"".join(pixels.told(reply)))
            for ask, reply in answered
            if ask.id is not None and not isinstance(reply, Refusal)
        ]
        if rows:
            self.database.insert(schema.replies, rows)
            self._prune()

    def _prune(self) -> None:
        """Forget old replies, once a minute."""
        if time.monotonic() - self._pruned < 60:
            return
        self._pruned = time.monotonic()
        old = time.time_ns() // 1000 - KEPT_REPLIES
        self.database.execute(sa.delete(schema.replies).where(schema.replies.c.time < old))


def _replied() -> sa.ClauseElement:
    columns = schema.replies.c
    own = (columns.client == sa.bindparam("client"), columns.id == sa.bindparam("id"))
    return sa.select(columns.request, columns.reply).where(*own)
