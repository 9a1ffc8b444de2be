"""A killed run goes on from its last finished stage, and ends as if nothing had happened."""

from __future__ import annotations

import json
import signal
import subprocess
import sys

import pytest
import torch

from ringfence.artifact import TENSORS
from ringfence.stages import Stages

NAMES = ("victim", "attack", "benign", "evidence")
RUN = """
import os, signal, sys
from ringfence import stages
from ringfence.cli import main
keep = stages.Stages._keep
def dying(self, folder, value, seconds):
    name = folder.name
    print(name, file=sys.stderr)
    if (name, "before") == tuple(sys.argv[1:3]): os.kill(os.getpid(), signal.SIGKILL)
    keep(self, folder, value, seconds)
    if (name, "after") == tuple(sys.argv[1:3]): os.kill(os.getpid(), signal.SIGKILL)
stages.Stages._keep = dying
main(sys.argv[3:])
"""
ARGS = "run --dataset toy_blobs --attack toy_random_queries --recovery toy_rounding_recovery "
ARGS += "--defense toy_detector --defense toy_watermark --defense toy_trainer --budget 200 "
ARGS += "--benign-clients 3 --threads 1 --json --out"


def run(out, *death, cwd):
    command = [sys.executable, "-c", RUN, *(death or ("", "")), *ARGS.split(), str(out)]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, timeout=120)


@pytest.fixture
def tests_on_path(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", ":".join(p for p in sys.path if p))


def without_seconds(text):
    return {**json.loads(text), "seconds": None}


@pytest.mark.parametrize(
    "moments",
    [
        pytest.param([("victim", "after"), ("benign", "before")], id="twice"),
        pytest.param([("attack", "after")], id="once"),
        *(
            pytest.param([(n, when)], marks=pytest.mark.slow, id=f"{when}-{n}")
            for n in NAMES
            for when in ("before", "after")
        ),
    ],
)
def test_a_killed_run_goes_on(tmp_path, tests_on_path, moments):
    undisturbed = run(tmp_path / "whole", cwd=tmp_path)
    for moment in moments:
        killed = run(tmp_path / "killed", *moment, cwd=tmp_path)

        assert killed.returncode == -signal.SIGKILL, killed.stderr
        assert not (tmp_path / "killed" / "result.json").exists()
    resumed = run(tmp_path / "killed", cwd=tmp_path)
    stage, when = moments[-1]
    left = NAMES[NAMES.index(stage) + (when == "after") :]

    assert undisturbed.stderr.split() == list(NAMES)
    assert resumed.stderr.split() == list(left), "finished stages are not done again"
    assert without_seconds(resumed.stdout) == without_seconds(undisturbed.stdout)


def stage(stages, name, value, done):
    def work():
        done.append(name)
        return torch.full((2,), float(value))

    return stages.do(name, work, lambda made: {"x": made}, lambda kept: kept["x"])


def test_a_finished_stage_is_not_done_again(tmp_path):
    done: list[str] = []
    for _ in range(2):
        stages = Stages(tmp_path)

        assert stage(stages, "one", 1, done).tolist() == [1, 1]
        assert stages.seconds["one"] > 0

    assert done == ["one"]


def test_a_damaged_stage_and_all_after_it_are_done_again(tmp_path, caplog):
    done: list[str] = []
    for _ in range(2):
        stages = Stages(tmp_path)
        for name in ("one", "two", "three"):
            stage(stages, name, 1, done)
        (tmp_path / "two" / TENSORS).write_bytes(b"")

    assert done == ["one", "two", "three", "two", "three"]
    assert "damaged and is done again" in caplog.text


def test_without_a_folder_nothing_is_kept():
    done: list[str] = []
    for _ in range(2):
        stage(Stages(), "one", 1, done)

    assert done == ["one", "one"]


def test_what_cannot_be_kept_is_done_again(tmp_path):
    done: list[int] = []
    for _ in range(2):
        Stages(tmp_path).do("one", lambda: done.append(1), lambda _: None, lambda _: None)

    assert done == [1, 1]
