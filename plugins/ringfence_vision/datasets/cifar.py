"""CIFAR-10 and CIFAR-100: 32x32 colour images in pickled batches."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import torch
from attrs import define

from ringfence.types import ImageSet, Split
from ringfence_vision.datasets import folders, pictures
from ringfence_vision.datasets.damage import check_md5, checked, damaged, reading
from ringfence_vision.datasets.root import data_root, obtain

SUBSET = "cifar-100-test-subset"  #: PNG files in one folder per class
RECIPE = {"shift": 4, "flip": True}


@define(eq=False)
class Cifar10:
    """Natural images of ten classes (Krizhevsky 2009)."""

    defaults: ClassVar[dict[str, Any]] = {
        "model": "resnet18",
        "pool": "cifar100",
        "outliers": ("svhn", "gtsrb"),
        "seeds": 1_000,
        "budget": {"synthetic": 100_000, "pool": 50_000},
        "recipe": RECIPE,
    }

    def load(self, root: Path | None, offline: bool) -> ImageSet:
        return _load("CIFAR10", 10, root, offline)


@define(eq=False)
class Cifar100:
    """Natural images of a hundred classes (Krizhevsky 2009), or a subset in PNG files."""

    defaults: ClassVar[dict[str, Any]] = {"recipe": RECIPE}

    def load(self, root: Path | None, offline: bool) -> ImageSet:
        whole, subset = (data_root(root) / name for name in ("cifar-100-python", SUBSET))
        if subset.is_dir() and not whole.is_dir():
            return _subset(subset)
        return _load("CIFAR100", 100, root, offline)


def _load(name: str, num_classes: int, root: Path | None, offline: bool) -> ImageSet:
    from torchvision import datasets

    source = getattr(datasets, name)
    listed = [*source.train_list, *source.test_list, (source.meta["filename"], source.meta["md5"])]
    md5 = {f"{source.base_folder}/{file}": md5 for file, md5 in listed}
    found = obtain(name.lower(), root, offline, list(md5), lambda to: source(to, download=True))
    # A pickle runs code: nothing is unpickled before its md5 sum was found right. torchvision
    # checks once more by itself, but does not say which file is wrong.
    for file in md5:
        check_md5(found / file, md5[file])
    folder = found / source.base_folder
    train, test = (_split(source, folder, train, num_classes) for train in (True, False))
    return ImageSet(train, test, num_classes)


def _split(source: Any, folder: Path, train: bool, num_classes: int) -> Split:
    with reading(folder):
        batches = source(folder.parent, train=train)
        images = torch.from_numpy(batches.data).permute(0, 3, 1, 2)
        return checked(images, torch.tensor(batches.targets), num_classes, folder)


def _subset(folder: Path) -> ImageSet:
    classes = folders.classes(folder)
    if len(classes) != 100:
        raise damaged(folder, f"it holds {len(classes)} classes instead of 100")
    files, labels = folders.listing(folder, classes)
    split = checked(pictures.load(files, size=32), labels, 100, folder)
    held = folders.held_out(labels)
    return ImageSet(split.rows(~held), split.rows(held), 100, marks=("subset",))
