"""The contract of data sets."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from ringfence import defaults
from ringfence.errors import MissingData
from ringfence.testing.promises import keeping, promise, quiet
from ringfence.types import ImageSet, Split

KNOWN = {"model", "pool", "outliers", "seeds", "budget", "recipe"}  #: keys of ``defaults``


def check_dataset(plugin: Any, root: Path | None = None) -> None:
    """Images and labels belong together; loading again gives the same; the pool has their form."""
    with quiet("dataset-random"):
        first, again = plugin.load(root, True), plugin.load(root, True)
    promise("dataset-shape", isinstance(first, ImageSet), "load() returns an ImageSet")
    for split, other in ((first.train, again.train), (first.test, again.test)):
        _check_split(split, first.num_classes)
        same = torch.equal(split.images, other.images) and torch.equal(split.labels, other.labels)
        promise("dataset-again", same, "loading again gives the same images and labels")
    _check_parts(first)
    odd = sorted(defaults.of_dataset(plugin).keys() - KNOWN)
    promise("dataset-defaults", not odd, f"defaults are some of {sorted(KNOWN)}, not {odd}")
    told = "where files are missing, and may not be downloaded, that is MissingData"
    with TemporaryDirectory() as empty, keeping("dataset-missing", told), suppress(MissingData):
        plugin.load(Path(empty), True)


def _check_split(split: Split, num_classes: int) -> None:
    images, labels = split.images, split.labels
    promise("dataset-shape", images.ndim == 4, "images are (N, C, H, W)")
    promise("dataset-shape", labels.shape == (len(images),), "one label per image")
    promise("dataset-shape", len(images), "there are images")
    promise("dataset-labels", labels.dtype is torch.int64, "labels are int64")
    inside = int(labels.min()) >= 0 and int(labels.max()) < num_classes
    promise("dataset-labels", inside, "labels are from 0 to num_classes - 1")
    if images.is_floating_point():
        right = bool(((images >= 0) & (images <= 1)).all())  # NaN fails both
    else:
        right = images.dtype is torch.uint8
    promise("dataset-range", right, "images are uint8, or finite floats in [0, 1]")


def _check_parts(data: ImageSet) -> None:
    shape = data.train.images.shape[1:]
    told = "train, test and pool have images of one shape, pools of one kind"
    promise("dataset-parts", data.test.images.shape[1:] == shape, told)
    pool, groups = data.pool, data.groups
    promise("dataset-parts", pool is None or pool.shape[1:] == shape, told)
    right = groups is None or groups.shape == (len(data.train),)
    promise("dataset-parts", right, "one group per image of train")
