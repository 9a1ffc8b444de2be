"""Files and folders are there whole or not at all."""

from __future__ import annotations

import os

import pytest

from ringfence.atomic import PREFIX, new_folder, sweep_up, write_text


def test_a_block_that_fails_leaves_nothing(tmp_path):
    with pytest.raises(KeyboardInterrupt), new_folder(tmp_path / "it") as draft:
        (draft / "half").write_text("half")
        raise KeyboardInterrupt

    assert list(tmp_path.iterdir()) == []


def test_a_folder_appears_only_at_the_end(tmp_path):
    with new_folder(tmp_path / "it") as draft:
        (draft / "file").write_text("whole")

        assert not (tmp_path / "it").exists()

    assert (tmp_path / "it" / "file").read_text() == "whole"


def test_the_first_of_two_wins(tmp_path):
    with new_folder(tmp_path / "it") as late:
        (late / "who").write_text("late")
        with new_folder(tmp_path / "it") as early:
            (early / "who").write_text("early")

    assert (tmp_path / "it" / "who").read_text() == "early"
    assert [p.name for p in tmp_path.iterdir()] == ["it"]


def test_a_file_that_cannot_be_written_leaves_the_old_one(tmp_path, monkeypatch):
    write_text(tmp_path / "it", "old")

    def fail(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="No space left"):
        write_text(tmp_path / "it", "new")

    assert (tmp_path / "it").read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["it"]


def test_what_a_killed_process_left_is_swept_up(tmp_path):
    (tmp_path / f"{PREFIX}folder").mkdir()
    (tmp_path / f"{PREFIX}file").write_text("half")
    write_text(tmp_path / "kept", "whole")
    sweep_up(tmp_path)

    assert [p.name for p in tmp_path.iterdir()] == ["kept"]
