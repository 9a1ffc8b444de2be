"""OpenImages: pictures of anything, without labels."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import torch
from attrs import define

from ringfence.types import ImageSet, Split
from ringfence_boogeyman.datasets import pictures
from ringfence_boogeyman.datasets.layout import damaged, is_test, require, spaced
from ringfence_boogeyman.datasets.options import limit, size

FOLDER = "openimages"
UNIFORM = 20_000  #: Atli et al., section 4.2.1


@define(eq=False)
class OpenImages:
    """Kuznetsova et al. 2018: a pool or outliers; as a victim's set it has one class only."""

    defaults: ClassVar[dict[str, Any]] = {"model": "resnet34"}

    size: int = size()
    limit: int | None = limit(UNIFORM)

    def load(self, root: Path | None, offline: bool) -> ImageSet:
        """Return the pictures, evenly spaced over their names where there are more."""
        folder = require("openimages", root, [FOLDER], [f"{FOLDER}/*.jpg"]) / FOLDER
        paths = pictures.files(folder)
        if len(paths) < 3:
            raise damaged(folder, f"it holds {len(paths)} pictures, of 3 that a split needs")
        chosen = [paths[row] for row in spaced(len(paths), self.limit)]
        test = torch.tensor(is_test([len(chosen)]))
        whole = Split(pictures.load(chosen, self.size), torch.zeros(len(chosen), dtype=torch.int64))
        return ImageSet(whole.rows(~test), whole.rows(test), 1)
