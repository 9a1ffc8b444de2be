"""The contracts of data sets and models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn

from ringfence.types import ImageSet, Split


def check_dataset(plugin: Any, root: Path | None = None) -> None:
    """Images and labels belong together; loading again gives the same; pool has their form."""
    first, again = plugin.load(root, True), plugin.load(root, True)
    assert isinstance(first, ImageSet), "load() returns an ImageSet"
    for split, other in ((first.train, again.train), (first.test, again.test)):
        _check_split(split, first.num_classes)
        assert torch.equal(split.images, other.images), "loading again gives the same images"
    shape = first.train.images.shape[1:]
    assert first.test.images.shape[1:] == shape, "train and test have images of one shape"
    assert first.pool is None or first.pool.shape[1:] == shape, "so has the pool"
    assert first.groups is None or len(first.groups) == len(first.train), "one group per image"


def check_model(plugin: Any, image_shape: tuple[int, ...] = (1, 28, 28), classes: int = 7) -> None:
    """Takes float images in ``[0, 1]``, returns logits; two models share no weights."""
    model, other = plugin.make(classes, image_shape), plugin.make(classes, image_shape)
    assert isinstance(model, nn.Module), "make() returns a torch module"
    logits = model.eval()(torch.rand(3, *image_shape, generator=torch.Generator().manual_seed(0)))
    assert logits.shape == (3, classes), "one logit per class"
    assert logits.isfinite().all(), "logits are finite"
    assert logits.dtype is torch.float32, "logits are float32"
    own = {weight.data_ptr() for weight in model.parameters()}
    assert not own & {weight.data_ptr() for weight in other.parameters()}, "each model is new"


def _check_split(split: Split, num_classes: int) -> None:
    assert split.images.ndim == 4, "images are (N, C, H, W)"
    assert len(split.images) == len(split.labels) > 0, "one label per image"
    assert split.labels.dtype is torch.int64, "labels are int64"
    assert int(split.labels.min()) >= 0, "labels start at 0"
    assert int(split.labels.max()) < num_classes, "labels end below num_classes"
    if split.images.is_floating_point():
        assert bool(((split.images >= 0) & (split.images <= 1)).all()), "floats are in [0, 1]"
    else:
        assert split.images.dtype is torch.uint8, "images are uint8, or float in [0, 1]"
