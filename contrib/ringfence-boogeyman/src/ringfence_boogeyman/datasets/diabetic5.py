"""Diabetic5: retinas, by the stage of the disease, from 0 (none) to 4."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any, ClassVar

import torch
from attrs import define, field, frozen

from ringfence.types import ImageSet, Split
from ringfence_boogeyman.datasets import pictures
from ringfence_boogeyman.datasets.balance import balanced
from ringfence_boogeyman.datasets.layout import damaged, require, spaced
from ringfence_boogeyman.datasets.options import BUDGET, limit, size

FOLDER, TRUTH = "diabetic5/train", "diabetic5/trainLabels.csv"
CLASSES = 5
MOST = 1 << 22  #: bytes of the list
EVERY = 5  #: the last of so many patients is for testing


@frozen
class Eye:
    """A picture, whose it is, and the stage."""

    path: Path
    patient: int
    stage: int


@define(eq=False)
class Diabetic5:
    """Kaggle's competition of 2015; patients are on one side of every split.

    Three of four retinas are healthy: ``balance`` adds turned and mirrored copies to training.
    """

    #: pictures are mirrored by the balancing
    defaults: ClassVar[dict[str, Any]] = {"model": "resnet34", "seeds": 1_000, "budget": BUDGET}

    size: int = size()
    limit: int | None = limit()
    balance: bool = field(
        default=True, metadata={"help": "add copies to training: more of the rarer stages"}
    )

    def load(self, root: Path | None, offline: bool) -> ImageSet:
        """Return the retinas of four patients of five, balanced, and of the fifth as they are."""
        layout = [f"{FOLDER}/<patient>_left.jpeg and <patient>_right.jpeg", TRUTH]
        folder = require("diabetic5", root, [FOLDER, TRUTH], layout)
        eyes = _some(_eyes(folder / FOLDER, folder / TRUTH), self.limit)
        order = {one: row for row, one in enumerate(sorted({eye.patient for eye in eyes}))}
        test = torch.tensor([order[eye.patient] % EVERY == EVERY - 1 for eye in eyes])
        if test.all() or not test.any():
            raise damaged(folder / TRUTH, f"{len(order)} patients, of {EVERY} that a split needs")
        images = pictures.load([eye.path for eye in eyes], self.size)
        whole = Split(images, torch.tensor([eye.stage for eye in eyes]))
        patients = torch.tensor([eye.patient for eye in eyes])
        train, groups = whole.rows(~test), patients[~test]
        if self.balance:
            train, groups = balanced(train, groups)
        return ImageSet(train, whole.rows(test), CLASSES, groups=groups)


def _eyes(folder: Path, truth: Path) -> list[Eye]:
    if truth.stat().st_size > MOST:
        raise damaged(truth, f"it has more than {MOST:,} bytes")
    try:
        with truth.open(newline="", encoding="utf-8") as file:
            rows = [(Path(row["image"]).name, int(row["level"])) for row in csv.DictReader(file)]
            eyes = [Eye(folder / f"{n}.jpeg", int(n.partition("_")[0]), s) for n, s in rows]
    except (ValueError, KeyError, TypeError, csv.Error) as error:
        raise damaged(truth, f"{type(error).__name__}: {error}") from error
    if strange := [eye for eye in eyes if not 0 <= eye.stage < CLASSES]:
        raise damaged(truth, f"stage {strange[0].stage} of {strange[0].path.name}")
    return eyes


def _some(eyes: list[Eye], limit: int | None) -> list[Eye]:
    """Return at most ``limit`` pictures of each stage, evenly spaced over the list."""
    stages = [[eye for eye in eyes if eye.stage == stage] for stage in range(CLASSES)]
    return [own[row] for own in stages for row in spaced(len(own), limit)]
