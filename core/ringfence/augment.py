"""Random shifts and flips of a whole batch at once, on its device."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from ringfence.recipe import Recipe


def augment(images: Tensor, recipe: Recipe, generator: Generator | None) -> Tensor:
    """Return ``images`` ``(N, C, H, W)`` shifted and flipped as ``recipe`` says; same dtype."""
    if recipe.shift:
        images = _shifted(images, recipe.shift, generator)
    if recipe.flip:
        images = _flipped(images, generator)
    return images


def _shifted(images: Tensor, most: int, generator: Generator | None) -> Tensor:
    """Move each image by up to ``most`` pixels either way; black comes in from outside."""
    size, channels, height, width = images.shape
    device = images.device
    offsets = torch.randint(0, 2 * most + 1, (2, size, 1), generator=generator, device=device)
    rows = offsets[0] + torch.arange(height, device=device)
    columns = offsets[1] + torch.arange(width, device=device)
    padded = F.pad(images, (most,) * 4)
    one = torch.arange(size, device=device)[:, None, None, None]
    channel = torch.arange(channels, device=device)[:, None, None]
    return padded[one, channel, rows[:, None, :, None], columns[:, None, None, :]]


def _flipped(images: Tensor, generator: Generator | None) -> Tensor:
    chosen = torch.rand(len(images), generator=generator, device=images.device) < 0.5
    return torch.where(chosen[:, None, None, None], images.flip(-1), images)
