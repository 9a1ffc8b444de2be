"""What a network says of an image, whatever else is in the batch.

The last bits of a matrix product depend on the number of its rows, not on what the other rows
hold: with as many images at a time everywhere, an image has one score everywhere.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ringfence.images import as_float


@torch.no_grad()
def in_blocks(judge: Callable[[Tensor], Tensor], images: Tensor, size: int) -> Tensor:
    """Return ``judge`` of uint8 or float ``images`` ``(N, C, H, W)``, always ``size`` at a time.

    ``judge`` takes float images and returns a row, or a number, for each. A last block that is
    not full is filled up with black images.
    """
    missing = -len(images) % size or size * (not len(images))
    padding = images.new_zeros(missing, *images.shape[1:])
    blocks = torch.cat([images, padding]).split(size) if missing else images.split(size)
    return torch.cat([judge(as_float(block)) for block in blocks])[: len(images)]
