"""The contract of stores."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from attrs import define, evolve, field
from torch import Tensor

from ringfence.artifact import round_trip
from ringfence.errors import BrokenPlugin, RingfenceError
from ringfence.protocols import Store
from ringfence.state import STATE_LIMIT
from ringfence.testing.promises import keeping, promise
from ringfence.types import Queries

CLIENTS = ("a", "b", "a")
EVEN, ODD = torch.tensor([0, 2]), torch.tensor([False, True, False])
SENT = torch.eye(3, dtype=torch.float64)


@define
class Count:
    """A state as plugins keep it."""

    number: int = 0
    names: list[str] = field(factory=list)


def check_store(plugin: Any) -> None:
    """What a batch changed is kept whole or not at all, for each plugin and client apart.

    ``plugin`` is a store with nothing in it; a durable one may keep what the check leaves there.
    """
    store = evolve(plugin)
    for part in (_kept, _failed, _apart, _copies, _closed, _limit, _ledger):
        part(store)
    dumped = round_trip(store.dump())
    _cleared(store)
    with keeping("store-saved", "load() must take what dump() made"):
        store.load(dumped)
    told = "after a save and a load all is as it was, and in the same order"
    promise("store-saved", _plain(store.dump()) == _plain(dumped), told)
    promise("store-saved", _count(store, "kept", "a").number == 3, told)
    promise("store-saved", _rows(store, "kept", "a") == [0, 1, 2], told)


def _kept(store: Store) -> None:
    """Three batches of three queries; the last one's changes rest on the first one's."""
    for batch in range(3):
        with store.batch(CLIENTS):
            own = store.of("kept")
            own.state("a", Count).number += 1
            own.log("a", "rows").append(torch.tensor([batch]))
    told = "what a batch changed is there for the next one"
    promise("store-kept", _count(store, "kept", "a").number == 3, told)
    promise("store-kept", _rows(store, "kept", "a") == [0, 1, 2], told)


def _failed(store: Store) -> None:
    """An answer that fails after everything was changed."""
    before = _plain(store.dump())
    try:
        with store.batch(CLIENTS):
            own = store.of("kept")
            own.state("a", Count).number += 1
            own.log("a", "rows").append(torch.tensor([9]))
            own.mark(_queries(), EVEN, "it")
            raise InterruptedError
    except InterruptedError:
        pass
    promise("store-failed", _plain(store.dump()) == before, "a failed batch leaves no trace")


def _apart(store: Store) -> None:
    told = "each plugin and each client has states and logs of its own"
    for plugin, client in (("kept", "b"), ("other", "a")):
        promise("store-apart", _count(store, plugin, client) == Count(), told)
        promise("store-apart", _rows(store, plugin, client) == [], told)


def _copies(store: Store) -> None:
    """Whoever reads states for a report must not change what is kept."""
    own = store.of("kept")
    promise("store-copies", own.states(Count).get("a") == _count(store, "kept", "a"), "states()")
    own.states(Count)["a"].names.append("x")
    promise("store-copies", own.states(Count)["a"].names == [], "states() returns copies")


def _closed(store: Store) -> None:
    """Outside of a batch nothing could be undone."""
    own = store.of("kept")
    reached: list[Callable[[], object]] = [
        lambda: own.state("a", Count),
        lambda: own.log("a", "rows"),
        lambda: own.mark(_queries(), EVEN, "it"),
    ]
    for reach in reached:
        told = "outside of batch() states, logs and marks are refused by BrokenPlugin"
        promise("store-closed", _refused(reach), told)


def _limit(store: Store) -> None:
    """A state that grows is one that will not fit: it is refused by name, when kept or dumped."""

    def grow() -> None:
        with store.batch(["grown"]):
            store.of("grown").state("grown", Count).names.append("x" * STATE_LIMIT)
        store.dump()

    promise("store-limit", _refused(grow), f"states of over {STATE_LIMIT} bytes are refused")
    with store.batch(["grown"]):
        store.of("grown").state("grown", Count).names.clear()


def _ledger(store: Store) -> None:
    """Marks of two plugins; one row was refused, and can hold no mark."""
    sent = SENT.clone()
    sent[2] = 0
    for answers in (SENT, sent):
        with store.batch(CLIENTS):
            store.of("kept").mark(_queries(), EVEN, "even")
            store.of("other").mark(_queries(), ODD, "odd")
            store.settle(_queries(), answers)
    told = "the ledger holds each marked image with the answer sent, in order, but no refusals"
    everything, own = store.ledger.pairs(), store.ledger.pairs(plugin="kept", client="a")
    promise("store-ledger", own.clients == ("a",) * 3, told)
    promise("store-ledger", torch.equal(own.answers, SENT[[0, 2, 0]]), told)
    promise("store-ledger", torch.equal(own.images, _queries().images[[0, 2, 0]]), told)
    promise("store-ledger", len(everything) == 5, told)
    promise("store-ledger", len(store.ledger.pairs(kind="odd", client="b")) == 2, told)


def _cleared(store: Store) -> None:
    """Clear, or say why not."""
    try:
        store.clear()
    except RingfenceError:
        return
    dumped = store.dump()
    told = "clear() forgets everything, or refuses with a RingfenceError"
    promise("store-clear", not any(dumped[name] for name in ("states", "logs", "ledger")), told)


def _refused(act: Callable[[], object]) -> bool:
    try:
        act()
    except BrokenPlugin:
        return True
    return False


def _count(store: Store, plugin: str, client: str) -> Count:
    with store.batch([client]):
        return store.of(plugin).state(client, Count)


def _rows(store: Store, plugin: str, client: str) -> list[int]:
    with store.batch([client]):
        found: list[int] = store.of(plugin).log(client, "rows").rows().tolist()
    return found


def _queries() -> Queries:
    images = torch.arange(12.0).reshape(3, 1, 2, 2) / 12
    return Queries(images, CLIENTS, torch.tensor([0, 0, 1]))


def _plain(value: Any) -> Any:
    """Return a dump without tensors, to compare; the order of states and logs is free."""
    if isinstance(value, Tensor):
        return [str(value.dtype), value.tolist()]
    if isinstance(value, dict):
        plain = {key: _plain(one) for key, one in value.items()}
        free = ("states", "logs")
        return {k: sorted(v, key=repr) if k in free else v for k, v in plain.items()}
    return [_plain(one) for one in value] if isinstance(value, (list, tuple)) else value
