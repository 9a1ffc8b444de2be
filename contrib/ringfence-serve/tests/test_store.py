"""The durable store answers what the one in memory answers, whatever happened to both."""

from __future__ import annotations

import os
import sqlite3
import tempfile
from pathlib import Path

import pytest
import torch
from histories import Count, batches, live, seen, step
from hypothesis import given, settings
from ringfence_serve import schema
from ringfence_serve.chain import check
from ringfence_serve.database import StoreUnavailable
from ringfence_serve.opening import StoreInUse
from ringfence_serve.store import SqlStore

from ringfence import artifact, plugins
from ringfence.errors import BadEvidence, BrokenPlugin, RingfenceError
from ringfence.memorystore import MemoryStore
from ringfence.testing import check_store


@pytest.fixture
def url(tmp_path):
    return f"sqlite:///{tmp_path}/store.db"


@settings(max_examples=12, deadline=None)
@given(batches)
def test_any_history_leaves_what_it_leaves_in_memory(history):
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/store.db"
        memory = MemoryStore()
        durable = live(history, memory, SqlStore(url), lambda: SqlStore(url))
        assert seen(durable) == seen(memory)
        assert durable.memory() == memory.memory()
        check(durable.chain.entries())
        copy = MemoryStore()
        copy.load(artifact.round_trip(durable.dump()))
        assert seen(copy) == seen(memory)
        durable.load(memory.dump())
        assert seen(durable) == seen(memory)
        durable.database.close()


def test_it_is_picked_by_name(tmp_path):
    store = plugins.build("stores", f"sql:sqlite:///{tmp_path}/x.db")

    assert isinstance(store, SqlStore)
    assert "x.db" not in repr(store), "a URL may hold a password"


def test_clients_beyond_the_cap_leave_memory_and_come_back(url):
    store = SqlStore(url, memory_mib=1)
    for turn in range(2):
        for start in range(0, 700, 100):
            names = [f"c{number}" for number in range(start, start + 100)]
            with store.batch(names):
                for name in names:
                    store.of("p").state(name, Count).number += 1
                    if not turn:
                        store.of("p").log(name, "x").append(torch.zeros(200))
        assert len(store._remembered.memory) < 550
    with store.batch(["c0"]):
        assert store.of("p").state("c0", Count).number == 2
        assert len(store.of("p").log("c0", "x")) == 200
    store.database.close()


def test_a_log_of_many_pieces_becomes_one(url):
    store = SqlStore(url)
    for piece in range(67):
        with store.batch(["a"]):
            store.of("p").log("a", "x").append(torch.tensor([piece]))
        if piece == 64:
            store.database.close()
            store = SqlStore(url)
    store.database.close()
    with sqlite3.connect(url.removeprefix("sqlite:///")) as raw:
        assert raw.execute("select count(*) from logs").fetchone()[0] == 3
    raw.close()
    store = SqlStore(url)
    with store.batch(["a"]):
        assert store.of("p").log("a", "x").rows().tolist() == list(range(67))
    store.database.close()


def test_a_state_that_is_too_large_or_not_plain_is_refused_and_leaves_no_trace(url):
    store = SqlStore(url)
    with (
        pytest.raises(BrokenPlugin, match=r"'p' keeps \d+ bytes in the state Count"),
        store.batch("a"),
    ):
        store.of("p").state("a", Count).names += ["x" * 100] * 100
    with pytest.raises(BrokenPlugin, match="not plain"), store.batch("a"):
        store.of("p").state("a", Count).names = object()
    with store.batch("a"):
        assert store.of("p").state("a", Count) == Count()
    store.database.close()


def test_two_processes_do_not_share_a_database(url):
    one, other = SqlStore(url), SqlStore(url)
    one.memory()
    with pytest.raises(StoreInUse, match="in use by another process"):
        other.memory()
    one.database.close()
    assert other.memory() == 0
    other.database.close()


def test_evidence_of_a_guard_is_not_cleared(url):
    store = SqlStore(url)
    with store.batch(()):
        store.chain.add("configured", body=b"{}")
    with pytest.raises(BadEvidence, match="holds the evidence of a guard"):
        store.clear()
    store.database.close()


def test_a_newer_database_is_refused(url):
    store = SqlStore(url)
    store.memory()
    store.database.close()
    with sqlite3.connect(url.removeprefix("sqlite:///")) as raw:
        raw.execute(f"update meta set value = '{schema.VERSION + 1}'")
    raw.close()
    with pytest.raises(RingfenceError, match="Install a newer ringfence-serve"):
        SqlStore(url).memory()


def test_an_older_database_becomes_this_one(url, monkeypatch):
    step(store := SqlStore(url), "first", [0, 1], 4, False)
    before = seen(store)
    store.database.close()
    column = "alter table clients add column note text"
    monkeypatch.setattr(schema, "VERSION", schema.VERSION + 1)
    monkeypatch.setattr(schema, "MIGRATIONS", {1: lambda at: at.exec_driver_sql(column)})
    for _ in range(2):  # the second time there is nothing left to do
        later = SqlStore(url)
        assert seen(later) == before
        asked = later.database.connection().exec_driver_sql
        assert asked("select value from meta where name = 'version'").scalar() == "2"
        assert "note" in [row[1] for row in asked("pragma table_info(clients)")]
        later.database.close()


def test_a_commit_that_fails_leaves_no_trace_and_the_next_one_works(url, monkeypatch):
    store = SqlStore(url)
    step(store, "first", [0, 1], 4, False)
    before = seen(store)
    store.database.connection().exec_driver_sql("pragma max_page_count = 1")  # a full disk
    with pytest.raises(StoreUnavailable, match=r"^The database cannot be used \([a-z ]*full"):
        for _ in range(50):
            step(store, "first", [0, 1], 4, False)
            before = seen(store)
    assert seen(store) == before
    step(store, "first", [2], 4, False)  # on a new connection, without the limit
    assert seen(store) != before
    store.database.close()


def test_the_database_is_durable_and_has_one_file_beside_wal(url):
    store = SqlStore(url)
    step(store, "first", [0], 1, False)
    asked = store.database.connection().exec_driver_sql
    assert asked("pragma journal_mode").scalar() == "wal"
    assert asked("pragma synchronous").scalar() == 2
    store.database.close()
    file = Path(url.removeprefix("sqlite:///"))
    assert set(os.listdir(file.parent)) <= {"store.db", "store.db.lock"}


def test_it_keeps_the_contract_of_stores(url):
    store = SqlStore(url)
    check_store(store)
    store.database.close()
