"""Every run once, whatever dies; what failed is told and stops nobody."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ringfence.errors import OtherRun
from ringfence.sweep import Sweep

HEAD = """[run]
dataset = "toy_blobs"
attack = "toy_random_queries"
budget = 200
benign-clients = 3
defense = ["toy_watermark"]
"""
TINY = HEAD + '[grid]\nseed = [0, 1, 2, 3]\nlabels = ["soft", "hard"]\n'


@pytest.fixture(autouse=True)
def toys_in_every_process(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(p for p in sys.path if p))


def start(tmp_path, text, *args, out="out", cache="cache"):
    (tmp_path / "sweep.toml").write_text(text)
    command = [sys.executable, "-m", "ringfence", "sweep", str(tmp_path / "sweep.toml")]
    command += ["--out", str(tmp_path / out), "--json", *args]
    environment = {**os.environ, "RINGFENCE_CACHE": str(tmp_path / cache)}
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=environment)


def sweep(*args, **given):
    process = start(*args, **given)
    out, err = process.communicate(timeout=300)
    return process.returncode, json.loads(out) if out else None, err


def results(folder):
    files = {
        file.parent.name: json.loads(file.read_text()) for file in folder.glob("*/result.json")
    }
    return {name: {**result, "seconds": None} for name, result in files.items()}


def kill_and_resume(tmp_path, moments):
    """Kill a sweep at ``moments`` (seconds), resume it; return what both kinds left."""
    assert sweep(tmp_path, TINY, out="whole", cache="one")[0] == 0
    for seconds in moments:
        process = start(tmp_path, TINY, cache="two")
        time.sleep(seconds)
        process.kill()
        process.communicate()
    code, told, err = sweep(tmp_path, TINY, cache="two")

    assert code == 0, err
    assert len(told["finished"]) + len(told["skipped"]) == 8
    return results(tmp_path / "whole"), results(tmp_path / "out")


def test_a_killed_sweep_goes_on(tmp_path):
    whole, resumed = kill_and_resume(tmp_path, [4.0, 6.0, 5.0])

    assert len(whole) == 8
    assert resumed == whole


@pytest.mark.slow
def test_a_sweep_killed_at_twenty_random_moments_goes_on(tmp_path):
    moments = random.Random(0)
    whole, resumed = kill_and_resume(tmp_path, [moments.uniform(0.5, 7) for _ in range(20)])

    assert resumed == whole


def test_a_killed_sweep_leaves_no_run_behind(tmp_path):
    process = start(tmp_path, HEAD + "[options.toy_random_queries]\nepochs = 100000\n")
    wait_for(lambda: list((tmp_path / "out").glob("*/stages/victim")))
    children = descendants(process.pid)
    process.kill()
    process.communicate()

    assert children
    wait_for(lambda: not [pid for pid in children if alive(pid)])


def test_ctrl_c_ends_the_runs_and_exits_130(tmp_path):
    process = start(tmp_path, HEAD + "[options.toy_random_queries]\nepochs = 100000\n")
    wait_for(lambda: list((tmp_path / "out").glob("*/stages/victim")))
    children = descendants(process.pid)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)

    assert (process.returncode, out) == (130, "")
    assert "Traceback" not in err
    wait_for(lambda: not [pid for pid in children if alive(pid)])


def test_a_failed_run_is_told_and_stops_nobody(tmp_path):
    text = HEAD + '[grid]\nseed = [0, 1]\n"toy_random_queries.epochs" = [-1, 1]\n'
    code, told, err = sweep(tmp_path, text)
    [one, other] = told["failed"].values()

    assert code == 1
    assert len(told["finished"]) == 2
    assert one["status"] == other["status"] == "failed"
    assert one["message"] == "Option toy_random_queries.epochs must be > 0: -1."
    assert "Traceback" not in err


def test_fail_fast_stops_at_the_first_failure(tmp_path):
    text = HEAD + '[grid]\n"toy_random_queries.epochs" = [-1, 1, 2, 3, 4]\n'
    code, told, _ = sweep(tmp_path, text, "--fail-fast", "--jobs", "1")

    assert code == 1
    assert len(told["failed"]) == 1
    assert len(told["left"]) >= 3


def test_a_run_that_hangs_is_given_up_and_the_others_are_not(tmp_path):
    text = HEAD + '[grid]\n"toy_random_queries.epochs" = [100000, 1]\n[resources]\ntimeout = 12\n'
    code, told, _ = sweep(tmp_path, text)
    [failed] = told["failed"].values()

    assert code == 1
    assert len(told["finished"]) == 1
    assert failed == {"status": "timeout", "message": "given up after 12 seconds"}


def test_a_run_whose_process_is_killed_is_told_and_done_again(tmp_path):
    text = HEAD + "[options.toy_random_queries]\nepochs = 3000\n[grid]\nseed = [0, 1]\n"
    process = start(tmp_path, text)
    wait_for(lambda: len(list((tmp_path / "out").glob("*/stages/victim"))) == 2)
    victim = min(pid for pid in descendants(process.pid) if is_run(pid))
    os.kill(victim, signal.SIGKILL)
    out, _ = process.communicate(timeout=120)
    told = json.loads(out)

    assert process.returncode == 1
    assert len(told["finished"]) == 1
    assert [one["status"] for one in told["failed"].values()] == ["died"]
    assert "signal 9" in next(iter(told["failed"].values()))["message"]


def test_a_dry_run_counts_and_then_estimates(tmp_path):
    _, before, _ = sweep(tmp_path, TINY, "--dry-run")
    assert not (tmp_path / "out").exists()
    sweep(tmp_path, HEAD)
    _, after, _ = sweep(tmp_path, TINY, "--dry-run", out="other")

    assert (before["runs"], before["left"], before["seconds"]) == (8, 8, None)
    assert after["seconds"] > 0


def test_two_sweeps_do_not_share_a_folder(tmp_path):
    class Never:
        def submit(self, job):
            raise AssertionError("asked")

    from filelock import FileLock

    from ringfence import grid

    (tmp_path / "sweep.toml").write_text(TINY)
    (tmp_path / "out").mkdir()
    with FileLock(tmp_path / "out" / ".lock"), pytest.raises(OtherRun, match="Another sweep"):
        Sweep(grid.read(tmp_path / "sweep.toml"), tmp_path / "out").run(Never())


@pytest.mark.slow
def test_two_cores_do_almost_twice_as_much(tmp_path):
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("needs two cores")
    runs = HEAD + "[options.toy_random_queries]\nepochs = 800\n[grid]\nseed = " + str([*range(24)])
    seconds = {}
    for jobs in ("1", "2"):
        code, _, err = sweep(tmp_path, runs, "--jobs", jobs, out=f"out{jobs}", cache=f"c{jobs}")
        assert code == 0, err
        logs = (tmp_path / f"out{jobs}").glob("*/log.txt")  # empty: opened when a run begins
        begun = min(log.stat().st_mtime for log in logs)  # start-up, when torch is imported, apart
        seconds[jobs] = time.time() - begun

    assert seconds["1"] / seconds["2"] > 1.7, seconds


def wait_for(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "did not happen in time"
        time.sleep(0.05)


def descendants(pid):
    """Return all processes below ``pid``."""
    told = subprocess.run(["ps", "-eo", "pid,ppid"], capture_output=True, text=True, check=True)
    parents = {int(a): int(b) for a, b in (line.split() for line in told.stdout.splitlines()[1:])}
    below, new = set(), {pid}
    while new:
        new = {child for child, parent in parents.items() if parent in new} - below
        below |= new
    return below


def is_run(pid):
    """Return whether ``pid`` is a run and not the forkserver or the resource tracker."""
    return not subprocess.run(["pgrep", "-P", str(pid)], capture_output=True).stdout and (
        "multiprocessing.forkserver" in Path(f"/proc/{pid}/cmdline").read_text()
    )


def alive(pid):
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"
