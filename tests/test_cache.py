"""An entry is made once, shared between processes, and made again when it is damaged."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest
import torch

from ringfence.artifact import TENSORS
from ringfence.cache import Cache, Folder, opened
from ringfence.source import Source


@pytest.fixture(params=["memory", "disk"])
def cache(request, tmp_path):
    return Cache() if request.param == "memory" else Cache(Folder(tmp_path))


def test_what_was_made_is_kept(cache):
    made = [cache.cached("k", lambda n=n: {"n": n, "x": torch.full((2,), n)}) for n in (1, 2)]

    assert [one["n"] for one in made] == [1, 1]
    assert torch.equal(made[1]["x"], torch.tensor([1, 1]))


def test_a_child_sees_neither_parent_nor_sibling(cache):
    cache.cached("k", lambda: "parent")

    assert cache.child("a").cached("k", lambda: "a") == "a"
    assert cache.child("b").cached("k", lambda: "b") == "b"
    assert cache.child("a").cached("k", lambda: "again") == "a"


def test_who_changes_what_came_back_changes_nothing_for_others(cache):
    cache.cached("k", lambda: torch.zeros(3)).fill_(7)

    assert cache.cached("k", lambda: None).tolist() == [0, 0, 0]


def test_the_maker_gets_back_what_later_runs_get(cache):
    assert cache.cached("k", lambda: (1, 2)) == [1, 2]


def test_a_failed_make_leaves_no_entry(cache):
    with pytest.raises(ZeroDivisionError):
        cache.cached("k", lambda: 1 // 0)

    assert cache.cached("k", lambda: "made") == "made"


def test_a_damaged_entry_is_warned_about_and_made_again(tmp_path, caplog):
    cache = Cache(Folder(tmp_path))
    cache.cached("k", lambda: torch.zeros(3))
    [file] = tmp_path.rglob(TENSORS)
    file.write_bytes(file.read_bytes()[:-1] + b"\1")

    assert cache.cached("k", lambda: torch.ones(3)).tolist() == [1, 1, 1]
    assert "damaged and is made again" in caplog.text
    assert cache.cached("k", lambda: None).tolist() == [1, 1, 1]


MAKER = """
import sys, time
from pathlib import Path
from ringfence.cache import Cache, Folder, opened
from ringfence.source import Source
def make():
    print("made", flush=True)
    time.sleep(float(sys.argv[2]))
    return 1
Cache(Folder(Path(sys.argv[1]))).cached("k", make)
"""


def maker(folder, seconds):
    command = [sys.executable, "-c", MAKER, str(folder), str(seconds)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_of_two_processes_one_makes_the_entry(tmp_path):
    both = [maker(tmp_path, 1) for _ in range(2)]
    told = sorted(process.communicate(timeout=60)[0] for process in both)

    assert told == ["", "made\n"]


def test_a_lock_of_a_killed_process_blocks_nobody(tmp_path):
    killed = maker(tmp_path, 600)
    assert killed.stdout.readline() == "made\n"
    killed.kill()
    killed.communicate()
    start = time.monotonic()

    assert Cache(Folder(tmp_path)).cached("k", lambda: 2) == 2
    assert time.monotonic() - start < 5


def machine(tmp_path, name):
    """Return the cache of one of several machines, which see one source."""
    return Cache(Folder(tmp_path / name, Source(tmp_path / "source")))


def test_what_one_machine_made_another_copies(tmp_path):
    made = machine(tmp_path, "one").cached("k", lambda: torch.ones(3))
    copied = machine(tmp_path, "other").cached("k", lambda: torch.zeros(3))
    (tmp_path / "source").rename(tmp_path / "gone")

    assert torch.equal(made, copied)
    assert machine(tmp_path, "other").cached("k", lambda: None).tolist() == [1, 1, 1]


def test_a_damaged_copy_is_made_anew(tmp_path):
    machine(tmp_path, "one").cached("k", lambda: torch.zeros(3))
    [file] = (tmp_path / "source").rglob(TENSORS)
    file.write_bytes(file.read_bytes()[:-1] + b"\1")

    assert machine(tmp_path, "other").cached("k", lambda: torch.ones(3)).tolist() == [1, 1, 1]


def test_a_source_that_cannot_be_used_costs_no_run(tmp_path, caplog):
    (tmp_path / "source").write_text("no folder")

    assert machine(tmp_path, "one").cached("k", lambda: 1) == 1
    assert "Nothing can be added to cache" in caplog.text


def test_the_source_is_named_in_the_environment_and_is_not_the_cache_itself(tmp_path, monkeypatch):
    monkeypatch.setenv("RINGFENCE_CACHE_SOURCE", str(tmp_path))

    assert opened(tmp_path / "own").shared == tmp_path
    assert opened(tmp_path).source is None
