"""What a cluster could hold, and what is refused before any task is sent."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.metadata import requires

import pytest
from ringfence_ray import Ray
from ringfence_ray.nodes import offers, refusal

from ringfence.errors import BadOption
from ringfence.jobs import Job, Resources

NODES = [Resources(cpus=4, gpus=0, memory=8), Resources(cpus=2, gpus=1, memory=64)]


@pytest.mark.parametrize(
    ("need", "fits"),
    [
        (Resources(cpus=4), True),
        (Resources(gpus=0.5, memory=32), True),
        (Resources(cpus=5), False),
        (Resources(cpus=4, gpus=1), False),  # no single node has both
        (Resources(gpus=2), False),
        (Resources(memory=65), False),
    ],
)
def test_a_run_fits_if_one_node_has_room_for_all_it_needs(need, fits):
    assert (refusal(need, NODES) == "") is fits


def test_a_refusal_says_what_is_needed_what_there_is_and_what_to_do():
    assert refusal(Resources(cpus=8), NODES) == (
        "A run needs 8 cores and 0 GPUs; the nodes of this Ray cluster offer: 2 cores, 1 GPUs and "
        "64 GiB of memory; 4 cores, 0 GPUs and 8 GiB of memory. Ask for less in [resources], or "
        "say -o ray.grows=true if nodes are added."
    )


def test_more_than_a_gpu_is_whole_ones():
    assert "whole ones only" in refusal(Resources(gpus=1.5), [Resources(gpus=4)])


def test_only_nodes_that_are_there_and_take_tasks_count():
    told = [
        {"Alive": True, "Resources": {"CPU": 2.0, "memory": 3.0 * (1 << 30), "GPU": 1.0}},
        {"Alive": False, "Resources": {"CPU": 64.0}},
        {"Alive": True, "Resources": {"memory": 1e12}},  # a head with --num-cpus 0
    ]

    assert offers(told) == [Resources(cpus=2, gpus=1, memory=3)]


class Clusters:
    """A cluster that answers what its list says."""

    def __init__(self, *whys):
        self.whys, self.left = list(whys), False

    def refusal(self, need):
        return self.whys.pop(0)

    def leave(self):
        self.left = True


class Tasks:
    """Tasks that never end."""

    def __init__(self, jobs):
        self.jobs, self.cancelled = jobs, []

    def ended(self, seconds):
        return []

    def cancel(self, id):
        self.cancelled.append(id)

    def cancel_all(self):
        self.cancelled += [job.id for job in self.jobs]


@pytest.fixture
def executor(tmp_path):
    one = Ray()
    one._tasks = Tasks([Job(name, {}, tmp_path / name, Resources()) for name in "ab"])
    return one


def test_a_run_that_no_node_can_hold_any_more_is_lost_with_the_reason(executor):
    executor._cluster = Clusters("", "no node is left")

    [lost] = executor.poll(0)
    assert (lost.id, lost.status, lost.message) == ("b", "lost", "no node is left")
    assert executor._tasks.cancelled == ["b"]


def test_where_nodes_are_added_runs_wait(executor, tmp_path):
    executor.grows, executor._cluster = True, Clusters()

    assert executor.poll(0) == []


def test_what_no_node_can_hold_is_refused_when_it_is_submitted(executor, tmp_path):
    executor._cluster = Clusters("too much")
    with pytest.raises(BadOption, match="too much"):
        executor.submit(Job("c", {}, tmp_path / "c", Resources()))


def test_closing_ends_tasks_and_leaves_the_cluster(executor):
    executor._cluster = cluster = Clusters()
    executor.close()

    assert cluster.left
    assert executor._tasks.cancelled == ["a", "b"]


def test_an_address_is_that_of_the_cluster_itself():
    with pytest.raises(BadOption, match=r"ray.address is HOST:PORT or auto, not ray://"):
        Ray(address="ray://head:10001")


LISTED = """
import sys
from click.testing import CliRunner
from ringfence.cli import main
told = CliRunner().invoke(main, ["plugins", "executors"]).output
known = {"ray", "ringfence_ray", "torch"} & sys.modules.keys()
sys.exit(7 if "ray " in told and not known else 1)
"""


def test_it_is_listed_and_not_imported():
    assert subprocess.run([sys.executable, "-c", LISTED], check=False).returncode == 7


def test_the_core_asks_for_no_scheduler():
    asked = [re.split(r"[^\w-]", one)[0] for one in requires("ringfence")]

    assert "torch" in asked
    assert not {"ray", "submitit"} & set(asked)
