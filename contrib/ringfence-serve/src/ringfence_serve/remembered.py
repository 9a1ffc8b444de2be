"""What plugins remember of clients: those that asked last in memory, all of them in rows."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, TypeVar

import cattrs
from attrs import frozen

from ringfence.batch import Batch
from ringfence.log import Log
from ringfence.state import Key
from ringfence_serve import changes
from ringfence_serve.memory import Kept, Memory
from ringfence_serve.rows import Rows, piece

T = TypeVar("T")


@frozen(eq=False)
class Remembered:
    """States and logs of clients, read when they are first needed."""

    rows: Rows
    memory: Memory

    def fetch(self, clients: Collection[str]) -> None:
        """Read the states of clients that are not in memory."""
        if missing := self.memory.missing(clients):
            self.memory.add(self.rows.clients(missing))

    def of(self, client: str) -> Kept:
        """Return what is in memory of a client."""
        try:
            return self.memory[client]
        except KeyError:
            self.fetch([client])
            return self.memory[client]

    def state(self, key: Key, kind: type[T]) -> T:
        """Return the state itself: a batch that fails has it read anew."""
        plugin, client, name = key
        kept = self.of(client).states
        found = kept.get((plugin, name))
        if not isinstance(found, kind):
            found = kind() if found is None else cattrs.structure(found, kind)
            kept[plugin, name] = found
        return found

    def log(self, key: Key, *, merge: bool) -> Log:
        """Return a log as it is now; ``merge``: many pieces in the rows are made one."""
        plugin, client, name = key
        kept = self.of(client).logs
        if (plugin, name) not in kept:
            kept[plugin, name] = self.rows.log(key, merge=merge)
            self.memory.measure(client)
        return kept[plugin, name]

    def put(self, key: Key, state: Any) -> None:
        """Remember a state that came from elsewhere."""
        plugin, client, name = key
        self.of(client).states[plugin, name] = state

    def forget(self, client: str, but: Collection[str]) -> None:
        """Drop what plugins remember of a client; ``but``: not those plugins."""
        self.rows.forget(client, but)
        kept = self.of(client)
        for known in (kept.states, kept.texts, kept.logs):
            for key in [key for key in known if key[0] not in but]:
                del known[key]

    def write(self, batch: Batch) -> None:
        """Write the states that changed, and what was added to logs."""
        changed, added = [], []
        for key, state in batch.states.items():
            plugin, client, name = key
            text, texts = changes.text(key, state), self.of(client).texts
            if texts.get((plugin, name)) != text:
                texts[plugin, name] = text
                changed.append((client, plugin, name, text))
        for key, log, size in changes.grown(batch):
            added.append(piece(key, size, log.rows()[size:]))
        self.rows.write(changed, added)

    def keep(self, batch: Batch) -> None:
        """Count what a batch has added in memory, and make room."""
        for client in {key[1] for key, _, _ in changes.grown(batch)}:
            self.memory.measure(client)
        self.memory.used(changes.touched(batch))

    def drop(self, batch: Batch, clients: Collection[str]) -> None:
        """Drop from memory what a batch that failed has touched."""
        self.memory.drop(changes.touched(batch) | set(clients))
