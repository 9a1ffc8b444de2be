"""scikit-learn's handwritten digits: real data that need no file and no download."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from attrs import define
from torch import Tensor

from ringfence.types import ImageSet, Split

TEST = 500
BOX = 20  #: MNIST's digits fill 20 of 28 pixels: a shift of 4 cuts nothing off


@define(eq=False)
class Digits:
    """1,797 handwritten digits (Alpaydin and Kaynak 1998), 8x8, brought into MNIST's form."""

    defaults: ClassVar[dict[str, Any]] = {
        "model": "lenet5",
        "pool": "glyphs:letters",
        "outliers": ("glyphs:signs",),
        "seeds": 100,
        "budget": {"synthetic": 2_000, "pool": 2_000},
        "recipe": {"epochs": 30, "batch_size": 64, "shift": 2},
    }

    def load(self, root: Path | None, offline: bool) -> ImageSet:
        from sklearn.datasets import load_digits
        from sklearn.model_selection import train_test_split

        pixels, names = load_digits(return_X_y=True)
        images, labels = _enlarge(torch.from_numpy(pixels)), torch.from_numpy(names)
        parts = train_test_split(
            np.arange(len(names)), test_size=TEST, stratify=names, random_state=0
        )
        whole = Split(images, labels)
        train, test = (whole.rows(torch.from_numpy(np.sort(rows))) for rows in parts)
        return ImageSet(train, test, 10)


def _enlarge(pixels: Tensor) -> Tensor:
    """Turn ``(N, 64)`` of 0 to 16 into uint8 ``(N, 1, 28, 28)``, bilinear, with a black edge."""
    images = (pixels.float() / 16).view(-1, 1, 8, 8)
    large = F.interpolate(images, size=BOX, mode="bilinear")
    return F.pad((large * 255).round().to(torch.uint8), [(28 - BOX) // 2] * 4)
