"""Where a set's files are expected, and what is said when they are not there."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

import platformdirs

from ringfence.errors import DamagedData, MissingData

VARIABLE = "RINGFENCE_DATA"


def data_root(root: Path | None) -> Path:
    """Return ``root``, else what ``RINGFENCE_DATA`` names, else the user's cache folder."""
    given = root or os.environ.get(VARIABLE)
    if given:
        return Path(given).expanduser()
    return Path(platformdirs.user_cache_dir("ringfence"), "data")


def require(name: str, root: Path | None, needed: Sequence[str], layout: Sequence[str]) -> Path:
    """Return the data root, which holds every path ``needed``.

    ``layout`` is what an error says is expected, one pattern of files each.
    """
    folder = data_root(root)
    absent = [path for path in needed if not (folder / path).exists()]
    if not absent:
        return folder
    raise MissingData(
        f"Data set {name!r} is not in {folder}: there is no {' and no '.join(absent)}. Expected: "
        f"{'; '.join(layout)}. It cannot be downloaded. Put it there, or name the folder that "
        f"holds it with --data-root or {VARIABLE}."
    )


def damaged(file: Path, reason: str) -> DamagedData:
    """Return the error that names ``file`` and what to do about it."""
    return DamagedData(f"{file} is damaged: {reason}. Delete it, and copy it anew.")


def subfolders(folder: Path) -> list[Path]:
    """Return the visible folders in ``folder``, by name."""
    return sorted(f for f in folder.iterdir() if f.is_dir() and not f.name.startswith("."))


def spaced(size: int, most: int | None) -> list[int]:
    """Return at most ``most`` of ``size`` rows, evenly spaced; ``None``: all."""
    wanted = size if most is None else min(size, most)
    return [(2 * row + 1) * size // (2 * wanted) for row in range(wanted)]


def is_test(sizes: Iterable[int], share: int = 5) -> list[bool]:
    """Return for each row of classes of ``sizes`` whether it is for testing: every ``share``-th.

    The middle one of each ``share`` rows, so that a class of two rows or less has none.
    """
    return [row % share == share // 2 for size in sizes for row in range(size)]
