"""Imagenette: ten easy classes of ImageNet, as pictures of 224x224 pixels."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from attrs import define

from ringfence.types import ImageSet, Split
from ringfence_vision.datasets import folders, pictures
from ringfence_vision.datasets.damage import checked, damaged
from ringfence_vision.datasets.root import data_root, obtain

SIZE = 224
CLASSES = 10
WHOLE = 9_469 + 3_925
#: the first that is there; files with a shorter side of 320 need the least scaling to 224
FOLDERS = ("imagenette2-320", "imagenette2", "imagenette2-224")


@define(eq=False)
class Imagenette:
    """Pictures of ten classes (fastai 2019). The whole set takes 2 GB of memory."""

    defaults: ClassVar[dict[str, Any]] = {
        "model": "resnet34",
        "seeds": 1_000,
        "budget": {"synthetic": 100_000, "pool": 13_000},
        "recipe": {"flip": True},
    }

    def load(self, root: Path | None, offline: bool) -> ImageSet:
        folder = _folder(root, offline)
        train, test = _split(folder / "train"), _split(folder / "val")
        marks = ("subset",) if len(train) + len(test) < WHOLE else ()
        return ImageSet(train, test, CLASSES, marks=marks)


def _folder(root: Path | None, offline: bool) -> Path:
    for name in FOLDERS:
        folder = data_root(root) / name
        if (folder / "train").is_dir() and (folder / "val").is_dir():
            return folder
    expected = [f"{FOLDERS[0]}/{part}" for part in ("train", "val")]
    return obtain("imagenette", root, offline, expected, _fetch) / FOLDERS[0]


def _fetch(staging: Path) -> None:
    from torchvision.datasets import Imagenette as Source

    Source(staging, size="320px", download=True)


def _split(folder: Path) -> Split:
    names = folders.classes(folder)
    if len(names) != CLASSES:
        raise damaged(folder, f"it holds {len(names)} classes instead of {CLASSES}")
    files, labels = folders.listing(folder, names)
    return checked(pictures.load(files, SIZE), labels, CLASSES, folder)
