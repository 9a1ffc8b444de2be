"""CUB-200-2011: two hundred kinds of birds."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar

import torch
from attrs import define

from ringfence.types import ImageSet, Split
from ringfence_boogeyman.datasets import pictures
from ringfence_boogeyman.datasets.layout import damaged, require
from ringfence_boogeyman.datasets.options import DEFAULTS, size

FOLDER = "CUB_200_2011"
NAMES, SPLIT = "images.txt", "train_test_split.txt"
CLASSES = 200
MOST = 1 << 22  #: bytes of a list


@define(eq=False)
class Cubs:
    """Wah et al. 2011, with its published split: 5,994 pictures and 5,794, as in the paper."""

    defaults: ClassVar[dict[str, Any]] = DEFAULTS

    size: int = size()

    def load(self, root: Path | None, offline: bool) -> ImageSet:
        """Return both parts; labels are the numbers before the birds' names, less one."""
        needed = [f"{FOLDER}/{one}" for one in ("images", NAMES, SPLIT)]
        layout = [f"{FOLDER}/images/001.Black_footed_Albatross/*.jpg and 199 more", *needed[1:]]
        folder = require("cubs", root, needed, layout) / FOLDER
        names, sides = (_listed(folder / one) for one in (NAMES, SPLIT))
        if names.keys() != sides.keys():
            raise damaged(folder / SPLIT, f"it and {NAMES} do not list the same pictures")
        parts = []
        for side in ("1", "0"):
            own = [name for number, name in names.items() if sides[number] == side]
            labels = torch.tensor([_label(folder / NAMES, name) for name in own])
            paths = [folder / "images" / name for name in own]
            parts.append(Split(pictures.load(paths, self.size), labels))
        return ImageSet(parts[0], parts[1], CLASSES)


def _listed(file: Path) -> Mapping[str, str]:
    """Return the second word of each line by its first."""
    if file.stat().st_size > MOST:
        raise damaged(file, f"it has more than {MOST:,} bytes")
    lines = [
        line.split() for line in file.read_text(encoding="utf-8", errors="replace").splitlines()
    ]
    if not lines or any(len(words) != 2 for words in lines):
        raise damaged(file, "not every line has a number and one word")
    return {words[0]: words[1] for words in lines}


def _label(file: Path, name: str) -> int:
    """Return the class of a picture ``NNN.bird/file``; the list must not point elsewhere."""
    parts = PurePosixPath(name).parts
    number = parts[0].partition(".")[0]
    if len(parts) != 2 or ".." in parts or not number.isdecimal():
        raise damaged(file, f"{name!r} is no picture of a numbered bird")
    if not 1 <= int(number) <= CLASSES:
        raise damaged(file, f"{name!r} is none of the birds 1 to {CLASSES}")
    return int(number) - 1
