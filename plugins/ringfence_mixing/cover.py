"""Images that look benign: copies of some, a little moved and a little noisy."""

from __future__ import annotations

import torch
from attrs import frozen
from torch import Generator, Tensor

from ringfence.augment import augment
from ringfence.errors import MissingData
from ringfence.images import as_float
from ringfence.recipe import Recipe


@frozen(eq=False)
class Cover:
    """Makes as many cover images as are wanted of a few ``images`` ``(S, C, H, W)``."""

    images: Tensor
    shift: int
    noise: float
    random: Generator

    def draw(self, count: int) -> Tensor:
        """Return float images ``(count, C, H, W)`` in ``[0, 1]``."""
        if not len(self.images):
            raise MissingData("Mixing has no images to make cover of. Choose mixing.source.")
        device = self.images.device
        rows = torch.randint(len(self.images), (count,), generator=self.random, device=device)
        copies = as_float(augment(self.images[rows], Recipe(shift=self.shift), self.random))
        noise = torch.randn(copies.shape, generator=self.random, device=device)
        return (copies + self.noise * noise).clamp(0, 1)
