"""One folder of pictures for each class, in the order of their names."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from ringfence.types import ImageSet, Split
from ringfence_boogeyman.datasets import pictures
from ringfence_boogeyman.datasets.layout import damaged, is_test, spaced


def load(kinds: Sequence[Path], size: int, limit: int | None) -> ImageSet:
    """Return the pictures of ``kinds``; a fifth of each class, evenly spaced, is for testing."""
    own = [_some(kind, limit) for kind in kinds]
    sizes = [len(paths) for paths in own]
    images = pictures.load([path for paths in own for path in paths], size)
    labels = torch.arange(len(kinds)).repeat_interleave(torch.tensor(sizes))
    test = torch.tensor(is_test(sizes))
    whole = Split(images, labels)
    return ImageSet(whole.rows(~test), whole.rows(test), len(kinds))


def _some(kind: Path, limit: int | None) -> list[Path]:
    paths = pictures.files(kind)
    if len(paths) < 3:
        raise damaged(kind, f"it holds {len(paths)} pictures, of 3 that a split needs")
    return [paths[row] for row in spaced(len(paths), limit)]
