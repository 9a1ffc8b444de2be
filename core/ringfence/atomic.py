"""Files and folders that are there whole, or not at all, whatever kills the process.

Written under another name, flushed to the disk, then renamed.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PREFIX = ".unfinished-"


def write_text(path: Path, text: str) -> None:
    """Write a file, or leave the one that was there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f"{PREFIX}{path.name}-", dir=path.parent)
    draft = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        draft.chmod(0o644)  # mkstemp keeps others from reading
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    _flush_folder(path.parent)


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Yield a draft folder that becomes ``path`` when the block ends well.

    A ``path`` that another process made meanwhile is kept, and the draft dropped.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{path.name}-", dir=path.parent))
    try:
        yield draft
        for file in draft.rglob("*"):
            _flush_folder(file) if file.is_dir() else _flush(file)
        draft.chmod(0o755)
        _rename(draft, path)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    _flush_folder(path.parent)


def sweep_up(folder: Path, name: str = "") -> None:
    """Remove drafts of ``name``, or of anything below ``folder``; nobody may be writing them."""
    drafts = folder.glob(f"{PREFIX}{name}-*") if name else folder.rglob(f"{PREFIX}*")
    for draft in list(drafts):
        shutil.rmtree(draft, ignore_errors=True) if draft.is_dir() else draft.unlink()


def _rename(draft: Path, path: Path) -> None:
    try:
        draft.rename(path)
    except OSError:
        if not path.is_dir():  # not the race that a finished folder wins
            raise


def _flush(file: Path) -> None:
    with file.open("rb") as opened:
        os.fsync(opened.fileno())


def _flush_folder(folder: Path) -> None:
    """Make a rename durable; Windows cannot, and does not need to."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
