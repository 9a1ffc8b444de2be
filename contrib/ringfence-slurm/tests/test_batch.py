"""What Slurm is told of a run, and what is refused before."""

from __future__ import annotations

import os
import re

import pytest
from conftest import says
from ringfence_slurm import Slurm
from ringfence_slurm.batch import Batch

from ringfence.errors import BadOption, RingfenceError
from ringfence.jobs import Job, Resources


def job(tmp_path, **resources):
    return Job("0123456789abcdef", {}, tmp_path / "it", Resources(**resources))


def script(fake):
    """Return the options of the last script as a dict, and its command."""
    lines = (fake / "script").read_text().splitlines()
    told = [re.fullmatch(r"#SBATCH --([\w-]+)(?:=(.*))?", line) for line in lines]
    return {one[1]: one[2] for one in told if one}, lines[-1]


def test_sbatch_is_told_what_a_run_needs(fake, tmp_path):
    executor = Slurm(partition="gpu", extra={"account": "lab"})
    executor.submit(job(tmp_path, cpus=3, gpus=2, memory=4.5, timeout=3600))
    options, command = script(fake)

    assert options["job-name"] == "ringfence-0123456789ab"
    assert (options["cpus-per-task"], options["gpus-per-node"]) == ("3", "2")
    assert (options["mem"], options["partition"], options["account"]) == ("4608MB", "gpu", "lab")
    assert "--cpus-per-task=3" in command, "a step of Slurm 22.05 has one core else"


def test_slurm_ends_a_run_later_than_the_run_itself_is_given_up(fake, tmp_path):
    Slurm().submit(job(tmp_path, timeout=3600))

    assert int(script(fake)[0]["time"]) == 85


def test_without_a_timeout_there_is_a_day_and_not_submitits_five_minutes():
    assert Batch("slurm", 86400.0).minutes(Resources()) > 24 * 60


@pytest.mark.parametrize(("gpus", "shards"), [(0.5, "4"), (0.3, "3")])
def test_a_fraction_of_a_gpu_is_a_number_of_shards(fake, tmp_path, gpus, shards):
    Slurm(shards=8).submit(job(tmp_path, gpus=gpus))
    options, _ = script(fake)

    assert options["gres"] == f"shard:{shards}"
    assert "gpus-per-node" not in options


@pytest.mark.parametrize(
    ("options", "need", "why"),
    [
        ({}, {"gpus": 0.5}, r"whole GPUs, not 0.5 .* -o slurm.shards=N"),
        ({"shards": 4}, {"gpus": 1.5}, "whole GPUs, not 1.5"),
        ({"cluster": "local"}, {"gpus": 1}, "gives out cores only"),
        ({"cluster": "local"}, {"memory": 1}, "gives out cores only"),
        ({"cluster": "local"}, {"cpus": 9999}, f"this machine has {os.cpu_count()} cores"),
    ],
)
def test_what_can_never_be_placed_is_refused_with_the_reason(tmp_path, options, need, why):
    with pytest.raises(BadOption, match=why):
        Slurm(**options).submit(job(tmp_path, **need))


def test_what_sbatch_refuses_is_told_in_its_words(fake, tmp_path):
    said = "sbatch: error: Batch job submission failed: Requested node configuration is not"
    (fake / "refusal").write_text(f"{said} available\n")
    executor = Slurm()
    with pytest.raises(RingfenceError, match="Requested node configuration is not available"):
        executor.submit(job(tmp_path, cpus=512))

    assert executor.poll(0) == []


def test_without_slurm_the_message_says_where_to_start(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RingfenceError, match=r"no Slurm here .* slurm.cluster=local"):
        Slurm().submit(job(tmp_path))


def test_as_many_jobs_are_handed_over_as_the_user_said(fake, tmp_path):
    executor = Slurm(jobs=2)
    for name in "abc":
        executor.submit(Job(name, {}, tmp_path / name, Resources()))

    assert (fake / "count").read_text() == "18\n"
    says(fake, job17="RUNNING", job18="RUNNING")
    executor.cancel("a")
    executor.poll(0)
    assert (fake / "count").read_text() == "19\n"
    executor.close()
    assert (fake / "cancelled").read_text().split() == ["17", "18", "19"]
