"""Answers requests in batches: who may ask, what was asked before, the pipeline, the record.

One batch is answered at a time, and is one transaction: its replies are handed out after the
commit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
import torch
from attrs import define, field
from torch import Tensor

from ringfence.service import Service
from ringfence.types import Queries
from ringfence_serve import pixels
from ringfence_serve.accounts import Accounts
from ringfence_serve.alarms import Alarms
from ringfence_serve.asks import Ask, Floats, Reply
from ringfence_serve.database import StoreUnavailable
from ringfence_serve.failpoints import failpoint
from ringfence_serve.ids import Ids
from ringfence_serve.quotas import Quotas
from ringfence_serve.record import Counts, Record
from ringfence_serve.repeats import first_rows, told_before
from ringfence_serve.store import SqlStore


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
    _ids: Ids = field(init=False)
    _record: Record = field(init=False)
    _quotas: Quotas = field(init=False)
    _device: torch.device = field(init=False)

    @_ids.default
    def _make_ids(self) -> Ids:
        return Ids(self.store.database)

    @_record.default
    def _make_record(self) -> Record:
        return Record(self.store.database, self.alarms, self.service.format)

    @_quotas.default
    def _make_quotas(self) -> Quotas:
        return Quotas(self.service, self.accounts, self.quota)

    @_device.default
    def _find_device(self) -> torch.device:
        return next((one.device for one in self.service.model.parameters()), torch.device("cpu"))

    def __attrs_post_init__(self) -> None:
        """Listen to the service."""
        self.service.listener = self._record
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
            self._quotas.refuse(asks, replies)
            open_ = [place for place in range(len(asks)) if place not in replies]
            answers, counts = self._answers([asks[place] for place in open_])
            replies |= dict(zip(open_, answers, strict=True))
            self._ids.remember([(asks[place], replies[place]) for place in open_])
        self.alarms.settle(kept=True)
        self.counted(*counts)
        return [replies[place] for place in range(len(asks))]

    def _answers(self, asks: Sequence[Ask]) -> tuple[list[Floats], Counts]:
        """Return the answers to each request, and what is to be counted."""
        if not asks:
            return [], (0, 0, 0)
        clients = [client for ask in asks for client in ask.clients]
        images = np.concatenate([ask.images.numpy() for ask in asks])
        keys = pixels.digests(clients, images)
        ask_them = self._ask if self.repeats == "pipeline" else self._ask_once
        rows, (_, changed, alarms) = ask_them(images, clients, keys)
        parts, start = [], 0
        for ask in asks:
            parts.append(rows[start : start + ask.size])
            start += ask.size
        return parts, (len(keys), changed, alarms)

    def _ask(
        self, images: Floats, clients: Sequence[str], keys: Sequence[bytes]
    ) -> tuple[Floats, Counts]:
        """Return answers ``(N, K)`` of the pipeline, once they are recorded."""
        batch = torch.from_numpy(images).to(self._device)
        sent: Floats = self.service.answer(batch, clients).cpu().numpy()
        return sent, self._record.write(keys, self._are_spared(clients))

    def _ask_once(
        self, images: Floats, clients: Sequence[str], keys: Sequence[bytes]
    ) -> tuple[Floats, Counts]:
        """The same, but what was answered before is answered alike, and does not count."""
        told, counts = told_before(self.store.database, keys), (0, 0, 0)
        if not told and len(set(keys)) == len(keys):
            return self._ask(images, clients, keys)
        if new := first_rows(keys, told):
            own = [keys[row] for row in new]
            sent, counts = self._ask(images[new], [clients[row] for row in new], own)
            told |= dict(zip(own, sent, strict=True))
        return np.stack([told[key] for key in keys]), counts

    def _spared(self, queries: Queries) -> Tensor | None:
        """Return which rows are answered honestly: all while observing, else trusted clients'."""
        spared = self._are_spared(queries.clients)
        return torch.tensor(spared, device=queries.images.device) if any(spared) else None

    def _are_spared(self, clients: Sequence[str]) -> list[bool]:
        return [self.observe or self.accounts.trusted(client) for client in clients]
