"""Turned and mirrored copies, more of the rarer classes than of the most frequent one.

The preprocessing that Atli et al., section 3.2.1, refer to (EyeNet): every picture is mirrored, and
those of a rarer class are turned by 90, 120, 180 and 270 degrees as well. 35,126 retinas become
about the paper's 106,386.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torchvision.transforms.functional import InterpolationMode, rotate

from ringfence.types import Split

ANGLES = (90, 120, 180, 270)


def balanced(data: Split, groups: Tensor) -> tuple[Split, Tensor]:
    """Return ``data`` with its copies behind it, and their ``groups``: those of the originals."""
    frequent = data.labels.bincount().argmax()
    rarer = (data.labels != frequent).nonzero().flatten()
    every = torch.arange(len(data))
    images = [data.images, data.images.flip(-1)]
    images += [_turned(data.images[rarer], angle) for angle in ANGLES]
    rows = torch.cat([every, every, *[rarer for _ in ANGLES]])
    return Split(torch.cat(images), data.labels[rows]), groups[rows]


def _turned(images: Tensor, angle: int) -> Tensor:
    """Return square ``images`` turned by ``angle`` degrees; black comes in at the corners."""
    if angle % 90 == 0:
        return images.rot90(angle // 90, (2, 3))
    turned: Tensor = rotate(images, angle, InterpolationMode.BILINEAR)
    return turned
