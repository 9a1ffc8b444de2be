from __future__ import annotations

import os
import stat

import pytest

#: stand-ins for Slurm's commands: they say what a file says, and write down what they were told
COMMANDS = {
    "sbatch": 'cp "$1" "$FAKE/script"; if [ -f "$FAKE/refusal" ]; then cat "$FAKE/refusal" >&2; '
    "exit 1; fi; n=$(($(cat $FAKE/count) + 1)); echo $n > $FAKE/count; "
    'echo "Submitted batch job $n"',
    "sacct": 'cat "$FAKE/states"',
    "scancel": 'echo "$@" >> "$FAKE/cancelled"',
    "srun": "exit 1",
}


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    """Keep a test's victims out of the user's cache and of other tests."""
    monkeypatch.setenv("RINGFENCE_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def fake(tmp_path, monkeypatch):
    """Return the folder of what the stand-ins say and were told: they are first in the path."""
    folder = tmp_path / "fake"
    folder.mkdir()
    for name, does in COMMANDS.items():
        file = folder / name
        file.write_text(f"#!/bin/sh\n{does}\n")
        file.chmod(file.stat().st_mode | stat.S_IEXEC)
    (folder / "count").write_text("16\n")
    monkeypatch.setenv("FAKE", str(folder))
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    says(folder)
    return folder


def says(folder, **states):
    """Let sacct say the states of jobs: job17="RUNNING"."""
    lines = [f"{name.removeprefix('job')}|{state}|n1" for name, state in states.items()]
    (folder / "states").write_text("\n".join(["JobID|State|NodeList", *lines]) + "\n")
