"""Answers requests in batches: who may ask, what was asked before, the pipeline, the record.

Everything here runs in one thread, and a batch is one transaction: its reply is handed out
after the commit.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
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
    _device: torch.device = field(init=False)

    @_ids.default
    def _make_ids(self) -> Ids:
        return Ids(self.store.database)

    @_device.default
    def _find_device(self) -> torch.device:
        return next((one.device for one in self.service.model.parameters()), torch.device("cpu"))

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
            if sent[ask.client] + ask.size > quota:
                left = max(0, quota - sent[ask.client])
                message = f"{left} of {quota} queries are left, and {ask.size} were asked."
                replies[place] = Refusal(403, "quota_used", message)
            else:
                sent[ask.client] += ask.size

    def _quota(self, client: str) -> int | None:
        own = self.accounts.named(client).quota
        return own if own is not None else self.quota

    def _answers(self, asks: Sequence[Ask]) -> tuple[list[Tensor], tuple[int, int, int]]:
        """Return the answers to each request, and what is to be counted."""
        if not asks:
            return [], (0, 0, 0)
        clients = [client for ask in asks for client in ask.clients]
        images = asks[0].images if len(asks) == 1 else torch.cat([ask.images for ask in asks])
        keys, sizes = pixels.digests(clients, images), [ask.size for ask in asks]
        if self.repeats == "pipeline":
            sent = self._ask_service(images, clients)
            return list(sent.split(sizes)), (len(keys), *self._record(keys))
        told, counts = self._told_before(keys), (0, 0)
        if new := _first_rows(keys, told):
            sent = self._ask_service(images[new], [clients[row] for row in new])
            counts = self._record([keys[row] for row in new])
            told |= {keys[row]: answer for row, answer in zip(new, sent, strict=True)}
        rows = torch.stack([told[key] for key in keys])
        return list(rows.split(sizes)), (len(keys), *counts)

    def _ask_service(self, images: Tensor, clients: Sequence[str]) -> Tensor:
        return self.service.answer(images.to(self._device), clients).cpu()

    def _told_before(self, keys: Sequence[bytes]) -> dict[bytes, Tensor]:
        """Return what was answered to the same images of the same clients before."""
        named = {f"key{place}": key for place, key in enumerate(dict.fromkeys(keys))}
        database, count = self.store.database, len(named)
        rows = database.again(("before", count), lambda: _before(named), named)
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
        flagged = [any(one[2] for one in row) for row in judged]
        shown = _shown(queries.images, flagged, changed)
        answers, others = pixels.told(sent), pixels.told(wanted)
        rows = [
            {
                "client": client,
                "number": numbers[row],
                "time": now,
                "image": keys[row],
                "answer": answers[row],
                "instead": others[row] if spared[row] and changed[row] else None,
                "verdicts": msgspec.msgpack.encode(judged[row]),
                "flagged": flagged[row],
                "changed": changed[row],
                "pixels": shown.get(row),
            }
            for row, client in enumerate(queries.clients)
        ]
        self.store.database.insert(schema.queries, rows)
        rung = self.alarms.ring(queries.clients, numbers, judged)
        return sum(changed), rung

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


def _before(named: Mapping[str, bytes]) -> sa.ClauseElement:
    """Return what asks for earlier answers, the oldest last."""
    columns = schema.queries.c
    wanted = columns.image.in_([sa.bindparam(name) for name in named])
    return sa.select(columns.image, columns.answer).where(wanted).order_by(columns.number.desc())


def _shown(images: Tensor, flagged: Sequence[bool], changed: Sequence[bool]) -> dict[int, bytes]:
    """Return the images that an operator will want to see, by row."""
    rows = [row for row, why in enumerate(zip(flagged, changed, strict=True)) if any(why)]
    return dict(zip(rows, pixels.packed(images[rows]), strict=True)) if rows else {}


def _by_row(verdicts: Sequence[Verdict], size: int) -> list[list[Judged]]:
    """Return what each detector thought of each query."""
    judged: list[list[Judged]] = [[] for _ in range(size)]
    for verdict in verdicts:
        scores, flags = verdict.score.tolist(), verdict.flagged.tolist()
        suspected = verdict.suspected.tolist() if verdict.suspected is not None else [False] * size
        for row, one in enumerate(zip(scores, flags, suspected, strict=True)):
            judged[row].append((verdict.detector, *one))
    return judged
