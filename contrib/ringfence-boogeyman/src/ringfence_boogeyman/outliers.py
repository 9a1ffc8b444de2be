"""The defender's outliers: nine of ten to learn from, the tenth to see how well that went.

Atli et al., section 4.2.1, cut 100,000 ImageNet images into 90,000 and 10,000. Rows and not a
random stream decide, so that every detector of a run holds out the same ones.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ringfence.errors import MissingData
from ringfence.run import DefenseRun

EVERY = 10  #: the last of so many is held out


def outliers_of(run: DefenseRun) -> Tensor | None:
    """Return the outliers ``(O, C, H, W)``; nothing where the user named none."""
    try:
        return run.outliers
    except MissingData:
        return None


def held_out(outliers: Tensor) -> Tensor:
    """Return the outliers that no detector of this package learns from."""
    return outliers[EVERY - 1 :: EVERY]


def learnt(outliers: Tensor) -> Tensor:
    """Return the others, in their order."""
    rows = torch.arange(len(outliers), device=outliers.device)
    return outliers[rows % EVERY != EVERY - 1]


def some(images: Tensor, most: int | None, generator: torch.Generator) -> Tensor:
    """Return at most ``most`` of ``images``, drawn at random; ``None``: all of them."""
    if most is None or len(images) <= most:
        return images
    return images[torch.randperm(len(images), generator=generator, device=images.device)[:most]]
