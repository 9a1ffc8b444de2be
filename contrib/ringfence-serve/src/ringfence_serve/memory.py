"""The clients that were asked for last, in memory up to a limit."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from attrs import define, field

from ringfence.log import Log

OVERHEAD = 2048  #: bytes of a client in memory beside its logs, measured


@define
class Kept:
    """What is in memory of one client."""

    states: dict[tuple[str, str], Any] = field(factory=dict)  #: objects, or plain dicts
    texts: dict[tuple[str, str], str] = field(factory=dict)  #: as the database has them
    logs: dict[tuple[str, str], Log] = field(factory=dict)
    size: int = OVERHEAD

    def grown(self) -> int:
        """Measure again; return by how much it grew."""
        before = self.size
        logs = (log.rows().untyped_storage().nbytes() for log in self.logs.values())
        self.size = OVERHEAD + sum(logs)
        return self.size - before


@define(eq=False)
class Memory:
    """Clients by name, those seen last at the end."""

    limit: int  #: bytes
    _clients: OrderedDict[str, Kept] = field(factory=OrderedDict, init=False)
    _bytes: int = field(default=0, init=False)

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._clients)

    def __getitem__(self, client: str) -> Kept:
        """Return one of them; ``KeyError`` if it is not here."""
        return self._clients[client]

    def missing(self, clients: Iterable[str]) -> set[str]:
        """Return those that are not here."""
        return set(clients) - self._clients.keys()

    def add(self, found: Mapping[str, Kept]) -> None:
        """Take clients in."""
        self._clients |= found
        self._bytes += sum(kept.size for kept in found.values())

    def drop(self, clients: Iterable[str]) -> None:
        """Forget clients: what is here of them is not what the database has."""
        for client in clients:
            if (kept := self._clients.pop(client, None)) is not None:
                self._bytes -= kept.size

    def clear(self) -> None:
        """Forget all of them."""
        self._clients.clear()
        self._bytes = 0

    def measure(self, client: str) -> None:
        """Count what its logs take by now."""
        self._bytes += self._clients[client].grown()

    def used(self, clients: Collection[str]) -> None:
        """Keep whom a batch has touched, and of the others those seen last."""
        for client in clients:
            self._clients.move_to_end(client)
        while self._bytes > self.limit and len(self._clients) > 1:
            _, kept = self._clients.popitem(last=False)
            self._bytes -= kept.size
