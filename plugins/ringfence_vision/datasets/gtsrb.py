"""German traffic signs, in PPM files of many sizes."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any, ClassVar

import torch
from attrs import define
from torch import Tensor

from ringfence.types import ImageSet
from ringfence_vision.datasets import folders, pictures
from ringfence_vision.datasets.damage import checked, damaged, reading
from ringfence_vision.datasets.root import obtain

CLASSES = 43
SIZE = 32  #: as in the papers; the published files are 15 to 250 pixels wide
TRAINING, TEST, TRUTH = "GTSRB/Training", "GTSRB/Final_Test/Images", "GT-final_test.csv"
WHOLE = 26_640 + 12_630


@define(eq=False)
class Gtsrb:
    """Traffic signs of 43 classes (Stallkamp et al. 2012); frames of one track stay together."""

    #: signs are not mirrored: some are another sign then
    defaults: ClassVar[dict[str, Any]] = {"model": "cnn5", "seeds": 430, "recipe": {"shift": 2}}

    def load(self, root: Path | None, offline: bool) -> ImageSet:
        files = [f"gtsrb/{path}" for path in (TRAINING, TEST, TRUTH)]
        folder = obtain("gtsrb", root, offline, files, _fetch) / "gtsrb"
        paths, labels, groups = _training(folder / TRAINING)
        train = checked(pictures.load(paths, SIZE), labels, CLASSES, folder / TRAINING)
        paths, labels = _test(folder)
        test = checked(pictures.load(paths, SIZE), labels, CLASSES, folder / TRUTH)
        marks = ("subset",) if len(train) + len(test) < WHOLE else ()
        return ImageSet(train, test, CLASSES, groups=groups, marks=marks)


def _fetch(staging: Path) -> None:
    from torchvision.datasets import GTSRB

    for part in ("train", "test"):
        GTSRB(staging, split=part, download=True)


def _training(folder: Path) -> tuple[list[Path], Tensor, Tensor]:
    """Return files, labels, and groups: the numbers of the tracks, other ones in each class."""
    names = [f"{label:05}" for label in range(CLASSES)]
    if strange := sorted(set(folders.classes(folder)) - set(names)):
        raise damaged(folder / strange[0], f"not one of the classes 00000 to {names[-1]}")
    paths, labels = folders.listing(folder, names)
    tracks = torch.tensor([_track(path) for path in paths], dtype=torch.int64)
    groups = torch.stack((labels, tracks), 1).unique(dim=0, return_inverse=True)[1]
    return paths, labels, groups


def _track(path: Path) -> int:
    with reading(path):  # a name other than <track>_<frame>.ppm
        return int(path.stem.split("_")[-2])


def _test(folder: Path) -> tuple[list[Path], Tensor]:
    with reading(folder / TRUTH), (folder / TRUTH).open(newline="") as file:
        rows = list(csv.DictReader(file, delimiter=";", skipinitialspace=True))
        # a name only: the list must not point out of the folder
        paths = [folder / TEST / Path(row["Filename"]).name for row in rows]
        return paths, torch.tensor([int(row["ClassId"]) for row in rows])
