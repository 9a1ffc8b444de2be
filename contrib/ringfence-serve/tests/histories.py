"""Histories of a store, and all that anybody can see of it afterwards."""

from __future__ import annotations

import torch
from attrs import define, field
from hypothesis import strategies as st

from ringfence.types import Queries

CLIENTS = ("a", "b", "c")


@define
class Count:
    number: int = 0
    names: list[str] = field(factory=list)


@define
class Other:
    share: float = 0.1


def step(store, kind, rows, seed, fails):
    """Do to a store what one batch does; it may fail at its end."""
    random = torch.Generator().manual_seed(seed)
    clients = tuple(CLIENTS[row % 3] for row in rows)
    images = torch.rand(len(rows), 1, 2, 2, generator=random)
    if seed % 2:
        images = (images * 255).round() / 255
    sent = torch.rand(len(rows), 3, generator=random, dtype=torch.float64)
    sent[: seed % 2] = 0  # a refusal
    queries = Queries(images, clients, torch.arange(len(rows)))
    with store.batch(clients):
        own = store.of(kind)
        for client in clients:
            own.state(client, Count).number += seed
            own.state(client, Count).names.append(f"{seed}")
            own.state(client, Other).share *= 1.1
            own.log(client, "hashes").append(torch.arange(seed % 4))
            own.log(client, "images").append(images[:1])
        own.mark(queries, torch.tensor([row % 2 == 0 for row in rows]), "even")
        store.of("second").mark(queries, torch.arange(len(rows))[::2], "half")
        spared = None if seed % 3 else torch.tensor([client == "a" for client in clients])
        store.settle(queries, sent, spared)
        if fails:
            raise ZeroDivisionError


def seen(store):
    """Return all that anybody can see of a store."""
    told = {"states": {}, "logs": {}, "pairs": {}}
    with store.batch(CLIENTS):
        for plugin in ("first", "second"):
            own = store.of(plugin)
            told["states"][plugin] = (own.states(Count), own.states(Other))
            for client in CLIENTS:
                rows = [own.log(client, name).rows() for name in ("hashes", "images")]
                kept = [(r.dtype, r.shape, r.tolist()) if len(r) else () for r in rows]
                told["logs"][plugin, client] = kept  # of no rows nobody keeps a type
    for wanted in ({}, {"client": "a"}, {"plugin": "second"}, {"kind": "even", "client": "b"}):
        pairs = store.ledger.pairs(**wanted)
        lists = pairs.images.tolist(), pairs.answers.tolist(), pairs.answers.dtype
        told["pairs"][str(wanted)] = (pairs.clients, *lists)
    return told


batches = st.lists(
    st.tuples(
        st.sampled_from(["first", "second"]),
        st.lists(st.integers(0, 2), min_size=1, max_size=5),
        st.integers(0, 99),
        st.sampled_from(["well", "well", "fails", "restart"]),
    ),
    max_size=8,
)


def live(history, memory, durable, again):
    """Let two stores live through a history; return the second, ``again()`` after a restart."""
    for kind, rows, seed, ends in history:
        for store in (memory, durable):
            try:
                step(store, kind, rows, seed, ends == "fails")
            except ZeroDivisionError:
                assert ends == "fails"
        if ends == "restart":
            durable.database.close()
            durable = again()
    return durable
