"""A cluster of two nodes on this machine: the results of any other executor, whatever is lost.

Minutes, and most of a machine: python -m pytest -m slow tests/test_cluster.py
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager

import psutil
import pytest
import ray
from processes import kill_ours
from ray.cluster_utils import Cluster
from ringfence_ray import Ray

from ringfence import grid, plugins
from ringfence.errors import BadOption
from ringfence.jobs import Job, Resources
from ringfence.sweep import Sweep

pytestmark = [
    pytest.mark.slow,
    # ray.cluster_utils leaves it to the interpreter's end to reap what it has killed
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

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
LONGER = HEAD + "[options.knockoffnet]\nepochs = 1500\n[grid]\nseed = [0, 1, 2, 3, 4]\n"
LIGHT = {"include_dashboard": False, "include_log_monitor": False, "no_monitor": True}
TRIES = 3  #: Ray gives a node thirty seconds to start, which a busy machine may exceed


@contextmanager
def cluster(nodes):
    """Yield a cluster of ``nodes`` nodes with one core each."""
    made = started(nodes, TRIES)
    try:
        yield made
    finally:
        ray.shutdown()  # of an executor that was not closed, or no node may be removed
        made.shutdown()


def started(nodes, tries):
    made = Cluster(shutdown_at_exit=False)
    try:
        for _ in range(nodes):
            made.add_node(num_cpus=1, **LIGHT)
    except Exception as error:
        kill_ours()
        if tries == 1 or "timed out" not in str(error):
            raise
        return started(nodes, tries - 1)
    return made


def sweep(tmp_path, text, out, executor, watch=lambda: None):
    (tmp_path / "sweep.toml").write_text(text)
    return Sweep(grid.read(tmp_path / "sweep.toml"), tmp_path / out).run(executor, watch=watch)


def results(folder):
    files = folder.glob("*/result.json")
    told = {file.parent.name: json.loads(file.read_text()) for file in files}
    return {name: {**result, "seconds": None} for name, result in told.items()}


def local(**options):
    return plugins.build("executors", "local", options)


def test_a_sweep_has_the_results_of_local_whoever_began_it(tmp_path):
    some, whole = TINY.format(seeds="[0]"), TINY.format(seeds="[0, 1, 2]")
    sweep(tmp_path, whole, "local", local(jobs=1))
    sweep(tmp_path, some, "ray", local())
    with cluster(2) as two:
        gone_on = sweep(tmp_path, whole, "ray", Ray(address=two.address))
        with pytest.raises(
            BadOption, match=r"needs 2 cores and 0 GPUs; the nodes .* offer: 1 core"
        ):
            Ray(address=two.address).submit(Job("x", {}, tmp_path / "x", Resources(cpus=2)))
    shutil.rmtree(tmp_path / "ray" / gone_on.finished[0])
    back = sweep(tmp_path, whole, "ray", local())

    assert [len(gone_on.skipped), len(gone_on.finished), len(gone_on.failed)] == [1, 2, 0]
    assert back.finished == gone_on.finished[:1]
    assert len(results(tmp_path / "local")) == 3
    assert results(tmp_path / "ray") == results(tmp_path / "local")


def test_what_is_lost_costs_its_run_a_second_attempt_and_others_nothing(tmp_path, capsys):
    out = tmp_path / "out"
    killed, removed, before = [], [], {}

    def strike():
        """Kill a worker first; when its run has begun again, remove the other node."""
        now = {name: one for name, one in running(out).items() if name in begun(out)}
        if not killed and len(now) == 2:
            worker = next(iter(now.values())).parent().parent()  # run, forkserver, worker
            assert worker.name().startswith("ray::")
            killed.append(next(iter(now)))
            before.update(begun(out))
            os.kill(worker.pid, signal.SIGKILL)
        elif killed and not removed and begun(out)[killed[0]] != before[killed[0]]:
            far = [name for name, one in now.items() if raylet_of(one) != head]
            if len(now) == 2 and len(far) == 1:
                removed.extend(far)
                before.update({n: t for n, t in begun(out).items() if n != killed[0]})
                two.remove_node(second, allow_graceful=False)

    with cluster(2) as two:
        [second] = two.worker_nodes
        head = two.head_node.all_processes["raylet"][0].process.pid
        tally = sweep(tmp_path, LONGER, "out", Ray(address=two.address), strike)

    assert len(killed) == len(removed) == 1
    assert sorted(tally.finished) == sorted(results(out))
    assert (len(tally.finished), tally.failed) == (5, ())
    told = capsys.readouterr()
    assert (told.out, "A worker died or was killed" in told.err) == ("", True)
    twice = {name for name, time in begun(out).items() if before.get(name, time) != time}
    assert twice == {killed[0], removed[0]}


def running(out):
    """Return the process of each run that goes on, by the run's name."""
    found = {}
    for process in psutil.process_iter():
        try:
            log = os.readlink(f"/proc/{process.pid}/fd/1")
        except OSError:
            continue
        if log.startswith(f"{out}/") and process.status() != psutil.STATUS_ZOMBIE:
            found[os.path.basename(os.path.dirname(log))] = process
    return found


def begun(out):
    """Return when each run was begun last: its run.json is written anew by every attempt."""
    return {file.parent.name: file.stat().st_mtime_ns for file in out.glob("*/run.json")}


def raylet_of(process):
    """Return the number of the process that stands for a run's node: its worker's parent."""
    return process.parent().parent().ppid()


def test_a_run_whose_own_process_dies_is_done_again_until_it_is_given_up(tmp_path):
    def strike():
        for process in running(tmp_path / "out").values():
            process.kill()

    stop = threading.Event()

    def strikes():
        while not stop.wait(0.1):
            strike()

    killer = threading.Thread(target=strikes)
    killer.start()
    try:
        text = LONGER.replace("[0, 1, 2, 3, 4]", "[0]")
        with cluster(1) as one:
            tally = sweep(tmp_path, text, "out", Ray(address=one.address, retries=1))
    finally:
        stop.set()
        killer.join()
    [failed] = tally.failed

    assert failed.status == "died"
    assert "signal 9" in failed.message
    assert "(tried 2 times)" in failed.message


OWN = """
import json, os, sys
import psutil
from ringfence_ray import Ray
from ringfence.errors import RingfenceError
from ringfence.jobs import Resources
one = Ray(cpus=1)
for tries in range(3, 0, -1):  # a busy machine may take too long
    try:
        assert "needs 2 cores" in one._connected().refusal(Resources(cpus=2))
        break
    except RingfenceError:
        if tries == 1:
            raise
ours = {p.pid for p in psutil.Process().children(recursive=True)} | {os.getpid()}
listening = {c.laddr.ip for c in psutil.net_connections() if c.pid in ours and c.status == "LISTEN"}
import ray
told = json.dumps([sorted(listening), ray.get_runtime_context().gcs_address])
print(told, file=sys.__stdout__, flush=True)  # where Ray's own words do not go
sys.stdin.readline()
one.close()
"""
STRANGER = "import ray, sys; ray.init(address=sys.argv[1], logging_level='CRITICAL')"


def test_a_cluster_of_its_own_listens_to_this_machine_and_to_its_token_only():
    without = {n: v for n, v in os.environ.items() if not n.startswith("RAY_AUTH")}
    pipe = subprocess.PIPE
    with subprocess.Popen(
        [sys.executable, "-c", OWN], stdin=pipe, stdout=pipe, text=True, env=without
    ) as owner:
        try:
            addresses, gcs = json.loads(owner.stdout.readline())
            wrong = without | {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "0" * 64}
            wrong["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"  # else it does not even get there
            stranger = subprocess.run(
                [sys.executable, "-c", STRANGER, gcs],
                env=wrong,
                capture_output=True,
                text=True,
                timeout=120,
                check=False,
            )
        finally:
            owner.communicate("\n", timeout=60)

    assert set(addresses) <= {"127.0.0.1", "::ffff:127.0.0.1"}
    assert addresses
    assert stranger.returncode != 0
    assert "token" in stranger.stderr
    assert owner.returncode == 0


def test_nothing_waits_for_ever(tmp_path):
    started = time.monotonic()

    assert Ray().poll(5) == []
    assert time.monotonic() - started < 1
