"""What every model does with its images: refuse the wrong shape, normalise inside."""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import Tensor, nn

from ringfence.errors import BadOption

SMALL = 64  #: up to this many pixels a side, networks made for 224 get a small stem

#: Mean and standard deviation by the channels a network takes: MNIST's, and ImageNet's.
CONSTANTS = {
    1: ((0.1307,), (0.3081,)),
    3: ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
}


class Normalise(nn.Module):
    """Map float images in ``[0, 1]`` to zero mean and unit deviation.

    Grey images before a network that takes three channels become three equal ones.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        for name, values in zip(("mean", "std"), CONSTANTS[channels], strict=True):
            self.register_buffer(name, torch.tensor(values)[:, None, None], persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Return images ``(N, channels, H, W)``."""
        return (images - self.mean) / self.std


def normalised(net: nn.Module, channels: int) -> nn.Sequential:
    """Return ``net``, which takes ``channels``, behind its normalisation; the logits' model."""
    return nn.Sequential(OrderedDict(normalise=Normalise(channels), net=net))


def is_small(image_shape: tuple[int, ...]) -> bool:
    """Return whether no side is longer than ``SMALL``."""
    return max(image_shape[1:]) <= SMALL


def check(model: str, image_shape: tuple[int, ...], smallest: int) -> None:
    """Refuse images that are not ``(1 or 3, H, W)`` with both sides at least ``smallest``."""
    known = len(image_shape) == 3 and image_shape[0] in CONSTANTS
    if known and min(image_shape[1:]) >= smallest:
        return
    raise BadOption(
        f"Model {model!r} cannot take images of shape {written(image_shape)}: it takes 1 or 3 "
        f"channels and at least {smallest}x{smallest} pixels. Choose another model or data set."
    )


def written(image_shape: tuple[int, ...]) -> str:
    """Return a shape as people write it: ``3x32x32``."""
    return "x".join(map(str, image_shape))
