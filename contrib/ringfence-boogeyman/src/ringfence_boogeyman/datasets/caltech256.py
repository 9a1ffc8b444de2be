"""Caltech-256: pictures of 256 kinds of things."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from attrs import define

from ringfence.types import ImageSet
from ringfence_boogeyman.datasets.categories import load
from ringfence_boogeyman.datasets.layout import damaged, require, subfolders
from ringfence_boogeyman.datasets.options import DEFAULTS, limit, size

FOLDER = "256_ObjectCategories"
CLUTTER = "257.clutter"  #: what is none of the 256; left out
CLASSES = 256


@define(eq=False)
class Caltech256:
    """Griffin, Holub, Perona 2007. At 224 pixels the whole set takes 4.5 GB of memory."""

    defaults: ClassVar[dict[str, Any]] = DEFAULTS

    size: int = size()
    limit: int | None = limit()

    def load(self, root: Path | None, offline: bool) -> ImageSet:
        """Return all categories but the clutter; a fifth of each is for testing."""
        layout = [f"{FOLDER}/001.ak47/*.jpg to {FOLDER}/256.toad/*.jpg"]
        folder = require("caltech256", root, [FOLDER], layout) / FOLDER
        kinds = [one for one in subfolders(folder) if one.name != CLUTTER]
        if len(kinds) != CLASSES:
            raise damaged(folder, f"it holds {len(kinds)} categories instead of {CLASSES}")
        return load(kinds, self.size, self.limit)
