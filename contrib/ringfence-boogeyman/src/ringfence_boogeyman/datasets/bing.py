"""Bing: pictures that a search engine found for Caltech-256's categories."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from attrs import define

from ringfence.types import ImageSet
from ringfence_boogeyman.datasets.categories import load
from ringfence_boogeyman.datasets.layout import require, subfolders
from ringfence_boogeyman.datasets.options import DEFAULTS, limit, size

FOLDER = "bing"
PER_CLASS = 380  #: Atli et al., section 5.2.2


@define(eq=False)
class Bing:
    """Bergamo, Torresani 2010: a pool of the same 256 categories, with no image of Caltech's."""

    defaults: ClassVar[dict[str, Any]] = DEFAULTS

    size: int = size()
    limit: int | None = limit(PER_CLASS)

    def load(self, root: Path | None, offline: bool) -> ImageSet:
        """Return the pictures of each category, by its folder's name."""
        layout = [f"{FOLDER}/<category>/*.jpg, one folder for each of the 256"]
        folder = require("bing", root, [FOLDER], layout) / FOLDER
        return load(subfolders(folder), self.size, self.limit)
