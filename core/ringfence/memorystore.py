"""The default store: everything in memory. A batch is all or nothing.

When an answer fails, states, logs and marks are as they were before. A durable store, picked by
name, is another :class:`ringfence.protocols.Store`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import cattrs
from attrs import define, field
from torch import Tensor

from ringfence.batch import Batch, outside
from ringfence.copying import copied
from ringfence.ledger import Ledger, Marks
from ringfence.log import Log
from ringfence.state import Key, plain
from ringfence.store import PluginStore
from ringfence.types import Queries

T = TypeVar("T")


@define(eq=False)
class MemoryStore:
    """States and logs by plugin and client; one ledger. The default store."""

    ledger: Ledger = field(factory=Ledger, init=False)
    _states: dict[Key, Any] = field(factory=dict, init=False)  #: plain dicts once loaded
    _logs: dict[Key, Log] = field(factory=dict, init=False)
    _batch: Batch | None = field(default=None, init=False)

    @contextmanager
    def batch(self, clients: Sequence[str]) -> Iterator[None]:
        """Surround one answer: keep what it changed, or nothing if it fails."""
        self._batch = Batch()
        try:
            yield
            self._states |= self._batch.states
            for marks in self._batch.settled:
                self.ledger.add(marks)
        except BaseException:
            for log, size in self._batch.logs.values():
                log.truncate(size)
            raise
        finally:
            self._batch = None

    def settle(self, queries: Queries, sent: Tensor, spared: Tensor | None = None) -> None:
        """Write the marked images with the answers that were really sent to the ledger."""
        batch = self.open()
        batch.settled += [
            Marks.of_batch(plugin, kind, queries, sent, rows)
            for plugin, rows, kind in batch.altered(sent, spared)
        ]

    def of(self, plugin: str) -> PluginStore:
        """Return the part of the store that belongs to one plugin."""
        return PluginStore(self, plugin)

    def memory(self) -> int:
        """Return the bytes of all states, as JSON, and of all logs."""
        states = sum(len(json.dumps(plain(key, state))) for key, state in self._states.items())
        return states + sum(log.rows().nbytes for log in self._logs.values())

    def dump(self) -> dict[str, Any]:
        """Return everything as plain values and tensors, for :meth:`load`."""
        return {
            "states": [[*key, plain(key, state)] for key, state in self._states.items()],
            "logs": [[*key, log.rows()] for key, log in self._logs.items() if len(log)],
            "ledger": self.ledger.dump(),
        }

    def clear(self) -> None:
        """Forget everything."""
        self.load({"states": [], "logs": [], "ledger": []})

    def load(self, dumped: Mapping[str, Any]) -> None:
        """Replace everything by what was dumped."""
        self._states = {tuple(key): state for *key, state in dumped["states"]}
        self._logs = {tuple(key): Log(rows, len(rows)) for *key, rows in dumped["logs"]}
        self.ledger.load(dumped["ledger"])

    def open(self) -> Batch:
        """Return the answer in progress."""
        if self._batch is None:
            raise outside()
        return self._batch

    def state(self, key: Key, kind: type[T]) -> T:
        """Return a copy of what is kept, or a new state."""
        kept = self._states.get(key)
        if isinstance(kept, dict):
            return cattrs.structure(kept, kind)
        return kind() if kept is None else copied(kept)

    def log(self, key: Key) -> Log:
        """Return a log as it is now."""
        if key not in self._logs:  # a new one costs more than to look
            self._logs[key] = Log()
        return self._logs[key]

    def states(self, plugin: str, kind: type[T]) -> dict[str, T]:
        """Return copies of one plugin's states of this kind, by client."""
        own = [key for key in self._states if (key[0], key[2]) == (plugin, kind.__qualname__)]
        return {key[1]: self.state(key, kind) for key in own}
