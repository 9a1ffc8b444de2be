"""Nobody changes what was written down without being noticed."""

from __future__ import annotations

import random
import sqlite3

import pytest
import torch
from click.testing import CliRunner
from guards import add, ask, body, headers, images, pool, running
from ringfence_serve import export
from ringfence_serve.chain import Entry, check
from ringfence_serve.operations import parse
from ringfence_serve.settings import url_of
from ringfence_serve.store import SqlStore

from ringfence import exhibit
from ringfence.cli import main
from ringfence.errors import BadEvidence

FLIPS = 300


def call(folder, *args):
    done = CliRunner().invoke(main, ["clients", "--state", str(folder), *args])
    assert done.exit_code == 0, done.output
    return done.output.strip()


@pytest.fixture
def served(guard):
    """Return the folder of a guard that has marked answers to alice and to bob."""
    client = guard()
    bob = client.served.operations
    from ringfence_serve.operations import Order

    key = bob.perform(Order(action="add", name="bob"))["key"]
    for one in (client.key, key):
        client.post("/v1/predict", content=body(images(40)), headers=headers(one))
    client.__exit__(None, None, None)
    client.served.batcher.engine.store.database.close()
    return client.folder


def test_any_flipped_bit_of_a_stored_entry_is_noticed(served):
    chosen, noticed = random.Random(0), 0
    raw = sqlite3.connect(served / "guard.db", isolation_level=None)
    raw.row_factory = sqlite3.Row
    columns = [row["name"] for row in raw.execute("pragma table_info(chain)")]
    numbers = [row["seq"] for row in raw.execute("select seq from chain")]
    assert len(numbers) > 15
    assert whole(raw)
    for _ in range(FLIPS):
        raw.execute("begin")
        seq, column = chosen.choice(numbers), chosen.choice(columns)
        [before] = raw.execute(f"select {column} from chain where seq = ?", (seq,)).fetchone()
        after = flipped(before, chosen)
        try:
            raw.execute(f"update chain set {column} = ? where seq = ?", (after, seq))
            noticed += not whole(raw)
        except sqlite3.IntegrityError:  # a number that another entry has
            noticed += 1
        raw.execute("rollback")
    assert noticed == FLIPS
    assert whole(raw)
    raw.close()


def flipped(value, chosen):
    """Return ``value`` with one bit turned over."""
    if isinstance(value, int):
        return value ^ (1 << chosen.randrange(40))
    raw = bytearray(value.encode() if isinstance(value, str) else value)
    if not raw:
        return "x" if isinstance(value, str) else b"x"
    raw[chosen.randrange(len(raw))] ^= 1 << chosen.randrange(7)
    return raw.decode("latin-1") if isinstance(value, str) else bytes(raw)


def whole(raw):
    """Return whether the rows of the table are a chain."""
    try:
        check(Entry(**row) for row in raw.execute("select * from chain order by seq"))
    except BadEvidence:
        return False
    return True


def test_any_flipped_bit_of_an_export_is_noticed(served, tmp_path):
    file, chosen = tmp_path / "alice.jsonl", random.Random(0)
    call(served, "export", "alice", "--out", str(file))
    commitment = parse(call(served, "commit"))
    content = file.read_bytes()
    assert export.load(file, commitment, tmp_path / "plain")["marked"] > 5
    noticed = 0
    for turn in range(FLIPS):
        damaged = bytearray(content)
        damaged[chosen.randrange(len(damaged))] ^= 1 << chosen.randrange(8)
        file.write_bytes(damaged)
        try:
            export.load(file, commitment, tmp_path / f"out{turn}")
        except BadEvidence:
            noticed += 1
    assert noticed == FLIPS


def test_an_export_holds_one_clients_pairs_and_of_others_only_digests(served, tmp_path):
    file = tmp_path / "alice.jsonl"
    call(served, "export", "alice", "--out", str(file))
    told = call(
        served,
        "import",
        str(file),
        "--out",
        str(tmp_path / "court"),
        "--commitment",
        call(served, "commit"),
    )
    assert told.startswith("alice: ")
    assert '"bob"' not in file.read_text()
    store = SqlStore(url_of(served))
    wanted = store.ledger.pairs(client="alice")
    found = exhibit.load(tmp_path / "court" / "ledger").ledger.pairs()
    assert torch.equal(found.images, wanted.images)
    assert torch.equal(found.answers, wanted.answers)
    assert set(found.clients) == {"alice"}
    store.database.close()


def test_what_was_committed_to_cannot_be_cut_off(served):
    commitment = call(served, "commit")
    seq = int(commitment.partition(":")[0])
    with sqlite3.connect(served / "guard.db") as raw:
        raw.execute("delete from chain where seq > ?", (seq - 3,))
    raw.close()
    call(served, "check")  # a shorter chain is a chain
    done = CliRunner().invoke(
        main, ["clients", "--state", str(served), "check", "--commitment", commitment]
    )
    assert done.exit_code == 1
    assert "which was committed to" in done.output


def test_orders_reach_a_guard_that_runs_and_one_that_does_not(tmp_path):
    keys = [add(tmp_path, "alice")]
    with running(tmp_path) as (_, url):
        keys.append(call(tmp_path, "add", "bob", "--quota", "500"))
        http = pool()
        for key in keys:
            status, _ = ask(http, url, key, images(30))
            assert status == 200
        shown = call(tmp_path, "show", "bob")
        assert "suspected by amao at query" in shown
        assert "threshold 0.99" in shown
        assert "answer changed" in shown
        call(tmp_path, "pardon", "bob", "--reason", "a new employee who tried things")
        listed = call(tmp_path, "list").splitlines()
        assert listed[0].startswith("alice")
        assert listed[0].endswith("amao")
        assert not listed[1].endswith("amao")
        status, _ = ask(http, url, keys[1], images(3))
        assert status == 200
        call(tmp_path, "revoke", "alice")
        assert ask(http, url, keys[0], images(1))[0] == 401
    assert "a new employee" in call(tmp_path, "show", "bob")
    assert call(tmp_path, "check").endswith(call(tmp_path, "commit"))
    done = CliRunner().invoke(main, ["clients", "--state", str(tmp_path), "trust", "bob"])
    assert "needs a reason" in done.output
    done = CliRunner().invoke(main, ["clients", "--state", str(tmp_path), "show", "bbo"])
    assert "Did you mean 'bob'" in done.output
    for file in tmp_path.iterdir():
        for key in keys:
            assert key.encode() not in file.read_bytes(), file
            assert key.split("_", 2)[2].encode() not in file.read_bytes(), file
