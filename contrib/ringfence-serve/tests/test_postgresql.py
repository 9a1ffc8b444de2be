"""The same store in PostgreSQL: the same histories, one holder, and nothing lost with it."""

from __future__ import annotations

import pytest
from guards import WARY, body, guarded, headers, images
from histories import batches, live, seen, step
from hypothesis import HealthCheck, given, settings
from postgresql import running
from ringfence_serve.assembly import make_server
from ringfence_serve.chain import check
from ringfence_serve.opening import StoreInUse
from ringfence_serve.operations import Order
from ringfence_serve.settings import Settings
from ringfence_serve.store import SqlStore
from starlette.testclient import TestClient

from ringfence.memorystore import MemoryStore
from ringfence.testing import check_store


@pytest.fixture(scope="module")
def postgres():
    with running() as server:
        yield server


@settings(max_examples=6, deadline=None, suppress_health_check=list(HealthCheck))
@given(batches)
def test_any_history_leaves_what_it_leaves_in_memory(postgres, history):
    url, memory = postgres.database(), MemoryStore()
    durable = live(history, memory, SqlStore(url), lambda: SqlStore(url))
    assert seen(durable) == seen(memory)
    check(durable.chain.entries())
    durable.load(memory.dump())
    assert seen(durable) == seen(memory)
    durable.database.close()


def test_it_keeps_the_contract_of_stores(postgres):
    store = SqlStore(postgres.database())
    check_store(store)
    store.database.close()


def test_two_processes_do_not_share_a_database(postgres):
    url = postgres.database()
    one, other = SqlStore(url), SqlStore(url)
    step(one, "first", [0], 1, False)
    with pytest.raises(StoreInUse, match="in use by another process"):
        other.memory()
    one.database.close()
    assert other.memory() > 0
    other.database.close()


def test_a_guard_outlives_its_database(postgres, tmp_path):
    url = postgres.database()
    store = SqlStore(url)
    served = make_server(guarded(store, **WARY), store, Settings(state=tmp_path))
    key = served.operations.perform(Order(action="add", name="alice"))["key"]
    with TestClient(served.app(), raise_server_exceptions=False) as client:

        def ask(seed):
            return client.post(
                "/v1/predict", content=body(images(10, seed=seed)), headers=headers(key)
            )

        told = [ask(seed) for seed in range(4)]
        postgres.stop("immediate")  # as a crash: what was committed comes from its log
        assert ask(4).status_code == 503
        postgres.start()
        told += [ask(4), *(ask(seed) for seed in range(4))]
    assert [reply.status_code for reply in told] == [200] * 9
    assert [reply.content for reply in told[:4]] == [reply.content for reply in told[5:]]
    assert served.operations.perform(Order(action="show", name="alice"))["queries"] == 50
    marked = store.ledger.pairs()
    assert len(marked) > 5
    check(store.chain.entries())
    store.database.close()
    again = SqlStore(url)
    assert again.ledger.pairs().answers.equal(marked.answers)
    again.database.close()


def test_every_commit_is_on_the_disk(postgres):
    store = SqlStore(postgres.database())
    asked = store.database.connection().exec_driver_sql
    assert asked("show synchronous_commit").scalar() == "on"
    store.database.close()
