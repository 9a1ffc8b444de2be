"""Sweeps through submitit's local executor: the results of any other, whatever is lost.

A Python and a torch of its own for each run: python -m pytest -m slow tests/test_sweeps.py
"""

from __future__ import annotations

import json
import os
import shutil

import psutil
import pytest
from ringfence_slurm import Slurm

from ringfence import grid, plugins
from ringfence.sweep import Sweep

pytestmark = pytest.mark.slow

HEAD = """[run]
dataset = "digits"
attack = "knockoffnet"
budget = 20
benign-clients = 2
threads = 1
[options.training]
epochs = 2
"""
TINY = HEAD + "[options.knockoffnet]\nepochs = 2\n[grid]\nseed = {seeds}\n"
LONGER = HEAD + "[options.knockoffnet]\nepochs = 1500\n[grid]\nseed = [0, 1]\n"


def sweep(tmp_path, text, out, executor, watch=lambda: None):
    (tmp_path / "sweep.toml").write_text(text)
    return Sweep(grid.read(tmp_path / "sweep.toml"), tmp_path / out).run(executor, watch=watch)


def results(folder):
    files = folder.glob("*/result.json")
    told = {file.parent.name: json.loads(file.read_text()) for file in files}
    return {name: {**result, "seconds": None} for name, result in told.items()}


def local():
    return plugins.build("executors", "local", {"jobs": 1})


def test_a_sweep_has_the_results_of_local_whoever_began_it(tmp_path):
    some, whole = TINY.format(seeds="[0]"), TINY.format(seeds="[0, 1, 2]")
    sweep(tmp_path, whole, "local", local())
    sweep(tmp_path, some, "slurm", local())
    gone_on = sweep(tmp_path, whole, "slurm", Slurm(cluster="local"))
    shutil.rmtree(tmp_path / "slurm" / gone_on.finished[0])
    back = sweep(tmp_path, whole, "slurm", local())

    assert [len(gone_on.skipped), len(gone_on.finished), len(gone_on.failed)] == [1, 2, 0]
    assert back.finished == gone_on.finished[:1]
    assert len(results(tmp_path / "local")) == 3
    assert results(tmp_path / "slurm") == results(tmp_path / "local")


def test_a_killed_worker_costs_its_run_a_second_attempt_and_others_nothing(tmp_path):
    out, killed, before = tmp_path / "out", [], {}

    def strike():
        now = {name: one for name, one in running(out).items() if name in begun(out)}
        if not killed and len(now) == 2:
            killed.append(next(iter(now)))
            before.update(begun(out))
            worker = now[killed[0]].parent().parent()  # run, forkserver, submitit's process
            assert "submitit.core._submit" in worker.cmdline()
            worker.kill()

    tally = sweep(tmp_path, LONGER, "out", Slurm(cluster="local", jobs=2), strike)

    assert len(killed) == 1
    assert sorted(tally.finished) == sorted(results(out))
    assert (len(tally.finished), tally.failed) == (2, ())
    assert [name for name in before if begun(out)[name] != before[name]] == killed


def running(out):
    """Return the process of each run that goes on, by the run's name."""
    found = {}
    for process in psutil.process_iter():
        try:
            log = os.readlink(f"/proc/{process.pid}/fd/1")
        except OSError:
            continue
        if log.startswith(f"{out}/") and log.endswith("/log.txt"):
            found[os.path.basename(os.path.dirname(log))] = process
    return found


def begun(out):
    """Return when each run was begun last: its run.json is written anew by every attempt."""
    return {file.parent.name: file.stat().st_mtime_ns for file in out.glob("*/run.json")}
