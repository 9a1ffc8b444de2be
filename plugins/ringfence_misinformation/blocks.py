"""Logits that do not depend on how queries were batched.

The last bits of a matrix product depend on the number of its rows, not on what the other rows
hold: with a fixed number of images at a time the same image has the same logits everywhere.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ringfence.images import as_float


@torch.no_grad()
def in_blocks(model: nn.Module, images: Tensor, size: int) -> Tensor:
    """Return logits ``(N, K)`` of ``images`` ``(N, C, H, W)``, N > 0, always ``size`` at a time.

    A last block that is not full is filled up with black images.
    """
    missing = -len(images) % size
    padding = images.new_zeros(missing, *images.shape[1:])
    blocks = torch.cat([images, padding]).split(size)
    return torch.cat([model(as_float(block)) for block in blocks])[: len(images)]
