"""Street View House Numbers: 32x32 colour images in MATLAB files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from attrs import define

from ringfence.types import ImageSet, Split
from ringfence_vision.datasets.damage import check_md5, checked, reading
from ringfence_vision.datasets.root import obtain


@define(eq=False)
class Svhn:
    """Digits of house numbers (Netzer et al. 2011), without the extra training images."""

    def load(self, root: Path | None, offline: bool) -> ImageSet:
        from torchvision.datasets import SVHN

        def fetch(staging: Path) -> None:
            for part in ("train", "test"):
                SVHN(staging, split=part, download=True)

        files = [SVHN.split_list[part][1] for part in ("train", "test")]
        folder = obtain("svhn", root, offline, files, fetch)
        return ImageSet(_split(SVHN, folder, "train"), _split(SVHN, folder, "test"), 10)


def _split(source: Any, folder: Path, part: str) -> Split:
    _, name, md5 = source.split_list[part]
    check_md5(folder / name, md5)  # torchvision checks too, but cannot tell damaged from absent
    with reading(folder / name):
        read = source(folder, split=part)
        images, labels = torch.from_numpy(read.data), torch.from_numpy(read.labels)
        return checked(images, labels, 10, folder / name)
