"""Stores, each with one fault. All else is the memory's."""

from __future__ import annotations

from contextlib import contextmanager

import attrs

from ringfence.batch import Batch
from ringfence.errors import BrokenPlugin
from ringfence.ledger import Ledger
from ringfence.memorystore import MemoryStore
from ringfence.store import PluginStore
from ringfence.testing import check_store


class Amnesiac(MemoryStore):
    """Loses what a batch changed."""

    @contextmanager
    def batch(self, clients):
        before = self.dump()
        with super().batch(clients):
            yield
        self.load({**before, "ledger": self.ledger.dump()})


class HalfDone(MemoryStore):
    """Keeps what a failed batch had changed by then."""

    @contextmanager
    def batch(self, clients):
        failed = None
        with super().batch(clients):
            try:
                yield
            except InterruptedError as error:
                failed = error
        if failed:
            raise failed


class Shared(MemoryStore):
    """Takes all plugins for one."""

    def of(self, plugin):
        return super().of("all" if plugin in ("kept", "other") else plugin)


class Lending(MemoryStore):
    """Hands out the states that it keeps."""

    def of(self, plugin):
        return Lent(self, plugin)


class Lent(PluginStore):
    def states(self, kind):
        own = super().states(kind)
        kept = {key[1]: state for key, state in self._store._states.items()}
        return {client: kept[client] for client in own}


class Open(MemoryStore):
    """Takes changes outside of any batch."""

    def open(self):
        try:
            return super().open()
        except BrokenPlugin:
            return Batch()


class Boundless(MemoryStore):
    def dump(self):
        states = [[*key, attrs.asdict(state)] for key, state in self._plain()]
        return {**self._rest(), "states": states}

    def _plain(self):
        return [(k, s) for k, s in self._states.items() if attrs.has(type(s))]

    def _rest(self):
        kept, self._states = self._states, {}
        rest = super().dump()
        self._states = kept
        return rest


class Misremembering(MemoryStore):
    """Writes what was honest, not what was sent."""

    def settle(self, queries, sent, spared=None):
        super().settle(queries, sent.roll(1, 0), spared)


class Clinging(MemoryStore):
    def clear(self):
        self.ledger = Ledger()


class Misloading(MemoryStore):
    def load(self, dumped):
        super().load({**dumped, "logs": dumped["logs"][:0]})


GOOD = [lambda: check_store(MemoryStore())]
BROKEN = {
    "store-apart": lambda: check_store(Shared()),
    "store-clear": lambda: check_store(Clinging()),
    "store-closed": lambda: check_store(Open()),
    "store-copies": lambda: check_store(Lending()),
    "store-failed": lambda: check_store(HalfDone()),
    "store-kept": lambda: check_store(Amnesiac()),
    "store-ledger": lambda: check_store(Misremembering()),
    "store-limit": lambda: check_store(Boundless()),
    "store-saved": lambda: check_store(Misloading()),
}
