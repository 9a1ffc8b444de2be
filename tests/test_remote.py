"""A job that another machine does, perhaps twice: its result is there once, and is the same."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ringfence import sending
from ringfence.jobs import Ended, Job, Resources
from ringfence.sending import confirmed, packed
from ringfence.testing.executors import NEVER, QUICK


def job(folder, **named):
    return Job("it", {**QUICK, "threads": 1, **named}, folder / "it", Resources())


def test_a_job_is_sent_with_an_absolute_folder_that_is_there(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    sent = packed(job(Path("runs"), cache="victims"))

    assert sent.job.out == tmp_path / "runs" / "it"
    assert sent.job.out.is_dir()
    assert (sent.folder, sent.cache) == (tmp_path, tmp_path / "victims")


def test_the_host_decides_where_data_lie_and_the_sender_where_victims_do(tmp_path):
    sent = packed(job(tmp_path, cache=str(tmp_path / "c")), data_roots={"here": "data"})

    assert sent.placed("here").named == {**QUICK, "threads": 1, "data_root": "data"}
    assert sent.placed("elsewhere").named == {**QUICK, "threads": 1}
    assert sent.environment()["RINGFENCE_CACHE"] == str(tmp_path / "c")


def test_a_copied_cache_is_the_machines_own_and_the_sender_is_its_source(tmp_path, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    sent = packed(job(tmp_path, cache=str(tmp_path / "c")), "copied")

    assert sent.environment() == {
        "RINGFENCE_CACHE_SOURCE": str(tmp_path / "c"),
        "CUDA_VISIBLE_DEVICES": "3",
    }


def test_a_machine_that_does_not_see_the_folder_says_so(tmp_path):
    sent = packed(job(tmp_path))
    sent.job.out.rmdir()
    told = f"{socket.gethostname()} sees no folder {tmp_path / 'it'}. Choose an --out"

    assert sent.run().status == "failed"
    assert sent.run().message.startswith(told)


def test_a_finished_job_without_a_result_here_has_failed(tmp_path, monkeypatch):
    monkeypatch.setattr(sending, "SIGHT", 0.2)
    sent = packed(job(tmp_path))
    ended = Ended("it", "finished")

    assert confirmed(sent.job, ended).status == "failed"
    (sent.job.out / "result.json").write_text("{}")
    assert confirmed(sent.job, ended) == ended


def test_a_job_that_is_done_twice_at_once_leaves_one_result(tmp_path):
    sent = packed(job(tmp_path))
    with ThreadPoolExecutor(2) as both:
        ended = [one.result() for one in [both.submit(sent.run), both.submit(sent.run)]]
    text = (sent.job.out / "result.json").read_text()

    assert ended == [Ended("it", "finished"), Ended("it", "finished")]
    assert sent.run() == Ended("it", "finished")
    assert (sent.job.out / "result.json").read_text() == text
    assert json.loads(text)["run"]["threads"] == 1


SCRIPT = """
import sys
from pathlib import Path
print("once", flush=True)
from ringfence import process
from ringfence.jobs import Job, Resources
process.PRELOAD[:] = []  # else torch is imported twice
job = Job("it", {named}, Path(sys.argv[1]), Resources())
print(process.finish(process.Running(job)).status)
"""


def test_the_script_that_starts_a_run_is_not_run_again_below_it(tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT.format(named=NEVER))
    done = subprocess.run(
        [sys.executable, tmp_path / "script.py", tmp_path / "it"],
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout.split() == ["once", "failed"]


@pytest.mark.parametrize("module", ["ringfence.remote", "ringfence.process"])
def test_who_only_waits_for_a_run_imports_no_torch(module):
    asked = f"import sys, {module}; sys.exit('torch' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", asked], check=False).returncode == 0
