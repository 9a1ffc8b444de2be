"""Answers requests in batches: who may ask, what was asked before, the pipeline, the record.

Everything here runs in one thread, and a batch is one transaction: its reply is handed out
after the commit.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, Literal

import msgspec
import sqlalchemy as sa
import torch
from attrs import define, field
from torch import Tensor

from ringfence.service import Service
from ringfence.types import Queries, Verdict
from ringfence_serve import pixels, schema
from ringfence_serve.accounts import Accounts
from ringfence_serve.alarms import Alarms
from ringfence_serve.asks import Ask, Refusal, Reply
from ringfence_serve.database import StoreUnavailable
from ringfence_serve.failpoints import failpoint
from ringfence_serve.ids import Ids
from ringfence_serve.store import SqlStore

Judged = tuple[str, float, bool, bool]  #: detector, score, flagged, suspected
INSERT = sa.insert(schema.queries)  #: made once, like the next: building one costs a query's time
BEFORE = (
    sa.select(schema.queries.c.image, schema.queries.c.answer)
    .where(schema.queries.c.image.in_(sa.bindparam("keys", expanding=True)))
    .order_by(schema.queries.c.number.desc())
)


@define(eq=False)
class Seen:
    """What the service has just done; its listener."""

    told: tuple[Queries, Tensor, list[Verdict], dict[str, Tensor], Tensor] | None = None

    def __call__(self, *told: Any) -> None:
        """Keep one batch."""
        self.told = told


@define(eq=False)
class Engine:
    """The guard at work."""

    service: Service
    store: SqlStore
    accounts: Accounts
    alarms: Alarms
    observe: bool = False
    quota: int | None = None  #: of clients without one of their own
    repeats: Literal["same", "pipeline"] = "same"
    counted: Callable[[int, int, int], None] = lambda *_: None  #: queries, changed, alarms
    _seen: Seen = field(factory=Seen, init=False)
    _ids: Ids = field(init=False)

    @_ids.default
    def _make_ids(self) -> Ids:
        return Ids(self.store.database)

    def __attrs_post_init__(self) -> None:
        """Listen to the service."""
        self.service.listener = self._seen
        self.service.spared = self._spared

    def answer(self, asks: Sequence[Ask]) -> list[Reply | Exception]:
        """Answer requests together; if that fails, each by itself."""
        try:
            return list(self._together(asks))
        except StoreUnavailable as error:
            self.alarms.settle(kept=False)
            return [error] * len(asks)
        except Exception as error:
            self.alarms.settle(kept=False)
            if len(asks) == 1:
                return [error]
            return [self.answer([ask])[0] for ask in asks]

    def _together(self, asks: Sequence[Ask]) -> list[Reply]:
        failpoint("batch.before")
        with self.store.batch([ask.client for ask in asks]):
            replies: dict[int, Reply] = self._ids.known(asks)
            self._refuse(asks, replies)
            open_ = [place for place in range(len(asks)) if place not in replies]
            answers, counts = self._answers([asks[place] for place in open_])
            replies |= dict(zip(open_, answers, strict=True))
            self._ids.remember([(asks[place], replies[place]) for place in open_])
        self.alarms.settle(kept=True)
        self.counted(*counts)
        return [replies[place] for place in range(len(asks))]

    def _refuse(self, asks: Sequence[Ask], replies: dict[int, Reply]) -> None:
        """Refuse those whose clients have asked as much as they may."""
        open_ = [(p, ask) for p, ask in enumerate(asks) if p not in replies]
        limited = {a.client: self._quota(a.client) for _, a in open_}
        sent = {
            client: one.count
            for client, one in self.service.sent(
                c for c, q in limited.items() if q is not None
            ).items()
        }
        for place, ask in open_:
            quota = limited[ask.client]
            if quota is None:
                continue
            if sent[ask.client] + len(ask.images) > quota:
                left = max(0, quota - sent[ask.client])
                message = f"{left} of {quota} queries are left, and {len(ask.images)} were asked."
                replies[place] = Refusal(403, "quota_used", message)
            else:
                sent[ask.client] += len(ask.images)

    def _quota(self, client: str) -> int | None:
        own = self.accounts.named(client).quota
        return own if own is not None else self.quota

    def _answers(self, asks: Sequence[Ask]) -> tuple[list[Tensor], tuple[int, int, int]]:
        """Return the answers to each request, and what is to be counted."""
        if not asks:
            return [], (0, 0, 0)
        keys = [key for ask in asks for key in pixels.digests(ask.client, ask.images)]
        clients = [ask.client for ask in asks for _ in range(len(ask.images))]
        images = torch.cat([ask.images for ask in asks])
        told = self._told_before(keys) if self.repeats == "same" else {}
        new = _first_rows(keys, told) if self.repeats == "same" else list(range(len(keys)))
        counts = (len(keys), 0, 0)
        if new:
            sent = self._ask_service(images[new], [clients[row] for row in new])
            counts = (len(keys), *self._record([keys[row] for row in new]))
            told |= {keys[row]: answer for row, answer in zip(new, sent, strict=True)}
        kept = self.repeats == "same"
        rows = torch.stack([told[key] for key in keys]) if kept else sent
        return list(rows.split([len(ask.images) for ask in asks])), counts

    def _ask_service(self, images: Tensor, clients: Sequence[str]) -> Tensor:
        device = next(iter(self.service.model.parameters()), images).device
        return self.service.answer(images.to(device), clients).cpu()

    def _told_before(self, keys: Sequence[bytes]) -> dict[bytes, Tensor]:
        """Return what was answered to the same images of the same clients before."""
        rows = self.store.database.execute(BEFORE, {"keys": list(set(keys))})
        return {image: pixels.heard(answer) for image, answer in rows}  # the oldest one stays

    def _record(self, keys: Sequence[bytes]) -> tuple[int, int]:
        """Write down every query of the batch; return how many were changed, and new alarms."""
        assert self._seen.told is not None
        queries, honest, verdicts, steps, sent = self._seen.told
        format = self.service.format
        plain = format(honest)
        wanted = format(list(steps.values())[-1]) if steps else plain
        changed = (wanted != plain).any(-1).tolist()
        exempt = self._spared(queries)
        spared = [False] * len(keys) if exempt is None else exempt.tolist()
        judged = _by_row(verdicts, len(keys))
        numbers, now = queries.first.tolist(), time.time_ns() // 1000
        rows = [
            {
                "client": client,
                "number": numbers[row],
                "time": now,
                "image": keys[row],
                "answer": pixels.told(sent[row]),
                "instead": pixels.told(wanted[row]) if spared[row] and changed[row] else None,
                "verdicts": msgspec.msgpack.encode(judged[row]),
                "flagged": any(flagged for _, _, flagged, _ in judged[row]),
                "changed": changed[row],
                "pixels": self._pixels(queries, row, judged[row], changed[row]),
            }
            for row, client in enumerate(queries.clients)
        ]
        self.store.database.execute(INSERT, rows)
        rung = self.alarms.ring(queries.clients, numbers, judged)
        return sum(changed), rung

    def _pixels(
        self, queries: Queries, row: int, judged: Sequence[Judged], changed: bool
    ) -> bytes | None:
        """Return an image that an operator will want to see."""
        if not changed and not any(flagged for _, _, flagged, _ in judged):
            return None
        return pixels.packed(queries.images[row])

    def _spared(self, queries: Queries) -> Tensor | None:
        """Return which rows are answered honestly: all while observing, else trusted clients'."""
        spared = [self.observe or self.accounts.trusted(client) for client in queries.clients]
        return torch.tensor(spared, device=queries.images.device) if any(spared) else None


def _first_rows(keys: Sequence[bytes], told: Any) -> list[int]:
    """Return the first row of each key that was not answered yet."""
    first: dict[bytes, int] = {}
    for row, key in enumerate(keys):
        if key not in told:
            first.setdefault(key, row)
    return list(first.values())


def _by_row(verdicts: Sequence[Verdict], size: int) -> list[list[Judged]]:
    """Return what each detector thought of each query."""
    judged: list[list[Judged]] = [[] for _ in range(size)]
    for verdict in verdicts:
        scores, flags = verdict.score.tolist(), verdict.flagged.tolist()
        suspected = verdict.suspected.tolist() if verdict.suspected is not None else [False] * size
        for row, one in enumerate(zip(scores, flags, suspected, strict=True)):
            judged[row].append((verdict.detector, *one))
    return judged
