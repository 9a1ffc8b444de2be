"""Full disks, slow clients, large bodies, clocks that jump: the guard goes on."""

from __future__ import annotations

import datetime as dt
import os
import random
import resource
import socket
import time
from contextlib import suppress

import psutil
import pytest
import time_machine
import urllib3
from guards import add, ask, body, headers, images, pool, running
from ringfence_serve import pixels, schema
from ringfence_serve.chain import Chain
from ringfence_serve.database import StoreUnavailable
from ringfence_serve.operations import Order
from ringfence_serve.settings import url_of
from ringfence_serve.store import SqlStore

PREDICT = "/v1/predict"
KEYS = int(os.environ.get("RINGFENCE_KEYS", "20000"))


def recorded(folder, client):
    """Return the answers in the evidence by the digest of their image."""
    store = SqlStore(url_of(folder))
    rows = store.database.connection().execute(schema.queries.select()).all()
    store.database.close()
    return {row.image: pixels.heard(row.answer).tolist() for row in rows if row.client == client}


def test_a_full_disk_is_told_and_nothing_unrecorded_is_answered(tmp_path):
    """RLIMIT_FSIZE stands for the disk: writes fail, first in the log of SQLite."""
    key, http, seen = add(tmp_path, "alice"), pool(), {}
    statuses = []

    def send(number):
        some = images(8, seed=number)
        status, told = ask(http, url, key, some)
        statuses.append(status)
        if status == 200:
            rows = [one["probabilities"] for one in told["answers"]]
            seen.update(zip(pixels.digests(["alice"] * 8, some.numpy()), rows, strict=True))

    with running(tmp_path) as (process, url):
        for number in range(5):
            send(number)
        full = (tmp_path / "guard.db-wal").stat().st_size + 40_000
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (full, resource.RLIM_INFINITY))
        for number in range(5, 30):
            send(number)
        assert 503 in statuses
        assert http.request("GET", f"{url}/healthz").status == 200
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
        for number in range(30, 35):
            send(number)
        assert statuses[-5:] == [200] * 5
    assert set(statuses) == {200, 503}
    kept = recorded(tmp_path, "alice")
    assert all(kept.get(image) == answer for image, answer in seen.items())
    assert len(seen) >= 80


@pytest.mark.slow
def test_a_disk_that_fails_now_and_then_loses_nothing_that_was_answered(tmp_path):
    """In a third of the requests at random: writes fail somewhere in the middle (G4)."""
    key, http, chosen = add(tmp_path, "alice"), pool(), random.Random(0)
    seen, statuses = {}, []
    with running(tmp_path) as (process, url):
        ask(http, url, key, images(1))
        for number in range(300):
            size = (tmp_path / "guard.db-wal").stat().st_size
            full = size + chosen.randint(0, 20_000) if chosen.random() < 1 / 3 else -1
            resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (full, -1))
            some = images(4, seed=number)
            status, told = ask(http, url, key, some)
            statuses.append(status)
            if status == 200:
                rows = [one["probabilities"] for one in told["answers"]]
                seen.update(zip(pixels.digests(["alice"] * 4, some.numpy()), rows, strict=True))
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (-1, -1))
        assert ask(http, url, key, images(4))[0] == 200
    kept = recorded(tmp_path, "alice")
    assert all(kept.get(image) == answer for image, answer in seen.items())
    assert set(statuses) == {200, 503}
    print(statuses.count(503), "of 300 refused;", len(seen), "answers, all of them recorded")


def stalled(url, key, sent):
    """Return a connection over which a part of a request came."""
    host, port = url.removeprefix("http://").split(":")
    connection = socket.create_connection((host, int(port)), timeout=20)
    text = f"POST {PREDICT} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n"
    text += f"Content-Type: application/json\r\nContent-Length: {len(sent)}\r\n\r\n"
    connection.sendall(text.encode() + sent[:20])
    return connection


def unknown(url, numbers, together=100):
    """Ask with keys that nobody has, so many at once over one connection; each gets a 401."""
    host, port = url.removeprefix("http://").split(":")
    text = "POST {} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer rf_{:012}_{}\r\n"
    text += "Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{{}}"
    with socket.create_connection((host, int(port)), timeout=60) as connection:
        for start in range(0, len(numbers), together):
            some = [text.format(PREDICT, n, "A" * 43) for n in numbers[start : start + together]]
            connection.sendall("".join(some).encode())
            came = b""
            while came.count(b"no_key") < len(some):
                came += (more := connection.recv(1 << 16))
                assert more
            assert came.count(b"HTTP/1.1 401") == len(some)


def test_a_body_that_does_not_come_is_not_waited_for_and_others_are_served(tmp_path):
    key, http = add(tmp_path, "alice"), pool()
    with running(tmp_path) as (_, url):
        ask(http, url, key, images(1))
        begun = time.monotonic()
        connections = [stalled(url, key, body(images(1))) for _ in range(50)]
        assert ask(http, url, key, images(2))[0] == 200
        told = connections[0].recv(200)
        took = time.monotonic() - begun
        for one in connections:
            one.close()
    assert told.startswith(b"HTTP/1.1 408")
    assert took > 1.9


@pytest.mark.slow
def test_a_body_of_300_mb_takes_no_memory(tmp_path):
    key, http = add(tmp_path, "alice"), pool()
    with running(tmp_path) as (process, url):
        ask(http, url, key, images(4))
        own = psutil.Process(process.pid)
        before = own.memory_info().rss

        def large():
            for _ in range(300):
                yield b"x" * 2**20

        for sent in (large(), b"x" * (300 << 20)):
            with suppress(urllib3.exceptions.ProtocolError):  # it hung up while we were sending
                assert (
                    http.request("POST", url + PREDICT, body=sent, headers=headers(key)).status
                    == 413
                )
        large_bodies = own.memory_info().rss - before
    assert large_bodies < 10 << 20


@pytest.mark.slow
def test_unknown_keys_take_no_memory(tmp_path):
    """A figure for the README needs ``RINGFENCE_KEYS=1000000``: four minutes of one core."""
    key, http = add(tmp_path, "alice"), pool()
    with running(tmp_path) as (process, url):
        ask(http, url, key, images(4))
        own, sizes = psutil.Process(process.pid), []
        for start in range(0, 2000 + KEYS, 2000):  # the first ones fill buffers
            unknown(url, range(start, start + 2000))
            sizes.append(own.memory_info().rss)
        assert ask(http, url, key, images(4))[0] == 200
    told = [f"{size / 2**20:.2f}" for size in sizes[:: max(1, len(sizes) // 10)]]
    print(f"{KEYS} unknown keys; MiB meanwhile: {', '.join(told)}, at the end {sizes[-1] / 2**20}")
    assert max(sizes) - sizes[0] < 1 << 20


def test_clocks_that_jump_reorder_nothing_and_forgive_nobody(guard):
    client = guard(repeats="pipeline")
    engine = client.served.batcher.engine
    now = dt.datetime(2026, 5, 1, 12, tzinfo=dt.UTC)
    answers = []
    for day in (0, 1, -1, 0):
        with time_machine.travel(now + dt.timedelta(days=day), tick=True):
            reply = client.post(
                PREDICT, content=body(images(10, seed=day + 5)), headers=headers(client.key)
            )
            assert reply.status_code == 200
            answers.append(reply.json())
    with engine.store.batch(()):
        entries = list(engine.store.chain.entries())
        assert [entry.seq for entry in entries] == list(range(1, len(entries) + 1))
        times = [entry.time for entry in entries]
        assert times != sorted(times), "else the clock did not jump"
        suspected = [entry for entry in entries if entry.event == "suspected"]
        assert len(suspected) == 1
        assert engine.service.sent(["alice"])["alice"].count == 40
    marked = [entry.number for entry in entries if entry.event == "marked"]
    assert max(marked) > 30


def test_many_known_clients_take_little_memory(tmp_path):
    from ringfence_serve.accounts import Account, Accounts

    store = SqlStore(url_of(tmp_path))
    rows = [
        {
            "name": f"client-{n}",
            "key_id": f"{n:012}",
            "key_digest": n.to_bytes(32, "big"),
            "added": 0,
            "trusted": False,
        }
        for n in range(100_000)
    ]
    with store.batch(()):
        store.database.connection().execute(schema.clients.insert(), rows)
    del rows
    before = psutil.Process().memory_info().rss
    accounts = Accounts(store)
    accounts.load()
    taken = psutil.Process().memory_info().rss - before
    assert isinstance(accounts.named("client-99999"), Account)
    store.database.close()
    assert taken < 64 << 20


def test_what_a_failed_commit_lost_is_not_taken_as_done(guard, monkeypatch):
    """An alarm rings again, and a client whose key was never handed out does not exist."""
    client = guard()
    engine, operations = client.served.batcher.engine, client.served.operations

    def fail(self):
        raise StoreUnavailable("no")

    with monkeypatch.context() as broken:
        broken.setattr(Chain, "write", fail)
        reply = client.post(PREDICT, content=body(images(20)), headers=headers(client.key))
        assert reply.status_code == 503
        with pytest.raises(StoreUnavailable):
            operations.perform(Order(action="add", name="bob"))
    assert engine.alarms.untold() == []
    assert [one.name for one in engine.accounts.all()] == ["alice"]
    client.post(PREDICT, content=body(images(20)), headers=headers(client.key))
    assert [one["client"] for one in engine.alarms.untold()] == ["alice"]
    assert operations.perform(Order(action="add", name="bob"))["key"].startswith("rf_")
