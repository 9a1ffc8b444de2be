"""Folders with one subfolder of images per class."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from ringfence_vision.datasets.damage import damaged
from ringfence_vision.datasets.pictures import SUFFIXES


def classes(folder: Path) -> list[str]:
    """Return the names of the class folders, in the order of their labels."""
    return sorted(f.name for f in folder.iterdir() if f.is_dir() and not f.name.startswith("."))


def listing(
    folder: Path, names: Sequence[str], limit: int | None = None
) -> tuple[list[Path], Tensor]:
    """Return the image files of the classes ``names``, and their labels.

    Of each class at most ``limit`` are taken, evenly spaced over the sorted names.
    """
    files: list[Path] = []
    labels: list[int] = []
    for label, name in enumerate(names):
        own = _images(folder / name)
        kept = own if limit is None else [own[row] for row in spaced(len(own), limit)]
        files += kept
        labels += [label] * len(kept)
    return files, torch.tensor(labels, dtype=torch.int64)


def held_out(labels: Tensor, share: float = 0.2) -> Tensor:
    """Return which rows are for testing: ``share`` of each class, evenly spaced.

    The same rows every time, without a random stream that a new version might change. A class
    of two images or more has one in each part.
    """
    held = torch.zeros(len(labels), dtype=torch.bool)
    for label in labels.unique():
        rows = (labels == label).nonzero().flatten()
        size = max(1, round(share * len(rows))) if len(rows) > 1 else 0
        held[rows[spaced(len(rows), size)]] = True
    return held


def spaced(length: int, size: int) -> list[int]:
    """Return at most ``size`` indices, evenly spaced over ``length``."""
    size = min(size, length)
    return [(2 * i + 1) * length // (2 * size) for i in range(size)]


def _images(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    found = [f for f in folder.iterdir() if f.suffix.lower() in SUFFIXES and f.is_file()]
    if visible := sorted(f for f in found if not f.name.startswith(".")):
        return visible
    raise damaged(folder, f"it holds no image file ({', '.join(SUFFIXES)})")
