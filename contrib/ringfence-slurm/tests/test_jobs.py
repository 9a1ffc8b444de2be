"""A job that was lost is replaced, one that a killed sweep left is found again."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from importlib.metadata import requires

import pytest
from conftest import says
from ringfence_slurm import Slurm, submitted
from ringfence_slurm.task import Task, ignored
from submitit.core.utils import DelayedSubmission, cloudpickle_dump

from ringfence.jobs import Ended, Job, Resources
from ringfence.sending import packed


@pytest.fixture
def job(tmp_path):
    return Job("it", {}, tmp_path / "it", Resources())


@pytest.fixture
def executor(fake, job, monkeypatch):
    """Return an executor whose job 17 runs."""
    monkeypatch.setattr(submitted, "SIGHT", 0.0)
    says(fake, job17="RUNNING")
    one = Slurm(retries=1)
    one.submit(job)
    yield one
    says(fake)


def told(job, number, outcome):
    """Leave what a job leaves when it has ended."""
    folder = job.out / "slurm"
    cloudpickle_dump(outcome, folder / f"{number}_0_result.pkl")


def state(executor, fake, **states):
    """Let Slurm say states, and poll; submitit asks sacct every two seconds at most."""
    says(fake, **states)
    for one in executor._submitted.values():
        one._job.watcher.clear()
    return executor.poll(0)


def test_a_run_that_ended_is_told_as_its_process_told_it(executor, job):
    assert executor.poll(0) == []
    told(job, 17, ("success", Ended("it", "failed", "no such data")))

    assert executor.poll(0) == [Ended("it", "failed", "no such data")]
    assert executor.poll(0) == []


def test_an_error_of_ours_on_the_node_is_told_by_its_last_line(executor, job):
    told(job, 17, ("error", "Traceback\n  ...\nModuleNotFoundError: No module named 'x'"))

    assert executor.poll(0) == [Ended("it", "failed", "ModuleNotFoundError: No module named 'x'")]


def test_a_job_that_is_lost_is_replaced_as_often_as_was_said(executor, fake):
    assert state(executor, fake, job17="NODE_FAIL") == []
    assert (fake / "count").read_text() == "18\n"

    [lost] = state(executor, fake, job18="NODE_FAIL")
    assert (lost.status, "(tried 2 times)" in lost.message) == ("lost", True)
    assert (fake / "count").read_text() == "18\n"


def test_a_lost_run_is_told_as_lost_where_slurm_takes_nothing_more(executor, fake, caplog):
    (fake / "refusal").write_text("sbatch: error: slurmctld is down\n")
    [lost] = state(executor, fake, job17="NODE_FAIL")

    assert lost.status == "lost"
    assert "slurmctld is down" in caplog.text


@pytest.mark.parametrize(
    ("said", "status"), [("TIMEOUT", "timeout"), ("CANCELLED by 1000", "failed")]
)
def test_what_slurm_or_a_person_ended_is_not_done_again(executor, fake, said, status):
    [ended] = state(executor, fake, job17=said)

    assert ended.status == status
    assert (fake / "count").read_text() == "17\n"


@pytest.mark.parametrize(("said", "jobs"), [("PENDING", "17"), ("NODE_FAIL", "18")])
def test_a_killed_sweep_finds_a_job_that_lives_and_replaces_one_that_does_not(
    executor, fake, job, said, jobs
):
    state(executor, fake, job17=said) if said == "PENDING" else says(fake, job17=said)
    next(iter(executor._submitted.values()))._job.watcher.clear()
    again = Slurm()
    again.submit(job)

    assert (fake / "count").read_text() == f"{jobs}\n"


def test_a_preempted_run_is_queued_again_as_it_was(job):
    task = Task(packed(job))
    queued = task.checkpoint()

    assert isinstance(queued, DelayedSubmission)
    assert queued.function is task


def test_processes_below_a_job_ignore_what_slurm_warns_by_and_the_job_does_not():
    before = signal.getsignal(signal.SIGUSR2)
    shown = "import signal; print(signal.getsignal(signal.SIGUSR2) is signal.SIG_IGN)"
    with ignored():
        below = subprocess.run([sys.executable, "-c", shown], capture_output=True, check=True)

    assert below.stdout == b"True\n"
    assert signal.getsignal(signal.SIGUSR2) is before


LISTED = """
import sys
from click.testing import CliRunner
from ringfence.cli import main
told = CliRunner().invoke(main, ["plugins", "executors"]).output
known = {"submitit", "ringfence_slurm", "torch"} & sys.modules.keys()
sys.exit(7 if "slurm " in told and not known else 1)
"""


def test_it_is_listed_and_not_imported():
    done = subprocess.run([sys.executable, "-c", LISTED], check=False, env=os.environ)

    assert done.returncode == 7


def test_the_core_asks_for_no_scheduler():
    asked = [re.split(r"[^\w-]", one)[0] for one in requires("ringfence")]

    assert "torch" in asked
    assert not {"ray", "submitit"} & set(asked)
