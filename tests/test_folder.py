"""The output folder belongs to one run, and to one process at a time."""

from __future__ import annotations

import threading

import pytest
from filelock import FileLock

from ringfence.atomic import PREFIX
from ringfence.errors import OtherRun, RingfenceError
from ringfence.folder import LOCK, RUN, RunFolder


def test_another_run_is_refused(tmp_path):
    with RunFolder(tmp_path).claimed({"id": "one"}):
        pass
    with (
        pytest.raises(OtherRun, match=r"holds another run \(one, not two\)"),
        RunFolder(tmp_path).claimed({"id": "two"}),
    ):
        pass


def test_a_second_process_is_refused_while_the_first_is_running(tmp_path):
    with (
        FileLock(tmp_path / LOCK),
        pytest.raises(OtherRun, match="Another process is running"),
        RunFolder(tmp_path).claimed({"id": "one"}),
    ):
        pass


def test_who_waits_gets_the_folder_once_its_holder_has_ended(tmp_path):
    holder = FileLock(tmp_path / LOCK, thread_local=False)
    holder.acquire()
    threading.Timer(0.2, holder.release).start()
    with RunFolder(tmp_path).claimed({"id": "one"}, patience=30.0):
        pass

    assert (tmp_path / RUN).exists()


def test_an_unreadable_run_file_is_refused_and_kept(tmp_path):
    (tmp_path / RUN).write_text("{half")
    with (
        pytest.raises(OtherRun, match=r"run.json cannot be read"),
        RunFolder(tmp_path).claimed({"id": "one"}),
    ):
        pass

    assert (tmp_path / RUN).read_text() == "{half"


def test_a_place_that_cannot_be_written_is_told_in_one_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(RingfenceError, match=r"cannot be written .* Choose another --out\."),
        RunFolder(tmp_path / "file" / "out").claimed({"id": "one"}),
    ):
        pass


def test_a_result_is_written_whole(tmp_path):
    folder = RunFolder(tmp_path)
    one = {"run": {"id": "one"}}
    with pytest.raises(ValueError, match="not JSON compliant"):
        folder.finish({**one, "score": float("nan")})

    assert folder.result({"id": "one"}) is None
    folder.finish(one)
    assert folder.result({"id": "one"}) == one
    with pytest.raises(OtherRun, match="is not this run's"):
        folder.result({"id": "two"})


@pytest.mark.parametrize("content", ["{}", "[]", "3", "null", '{"id": null}'])
def test_a_run_file_that_is_no_run_file_is_refused(tmp_path, content):
    (tmp_path / RUN).write_text(content)
    with pytest.raises(OtherRun), RunFolder(tmp_path).claimed({"id": "one"}):
        pass


def test_drafts_of_a_killed_process_are_swept_up_wherever_they_lie(tmp_path):
    draft = tmp_path / "stages" / f"{PREFIX}victim-x"
    draft.mkdir(parents=True)
    with RunFolder(tmp_path).claimed({"id": "one"}):
        assert not draft.exists()
