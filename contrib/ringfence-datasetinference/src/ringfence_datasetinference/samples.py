"""Which images a suspect is asked about, and from which the judge has learnt."""

from __future__ import annotations

import torch
from attrs import frozen
from torch import Tensor

from ringfence.images import as_float
from ringfence.run import DefenseRun


@frozen(eq=False)
class Side:
    """Images of one kind, ``(N, C, H, W)`` float in ``[0, 1]``; no image is in both parts."""

    asked: Tensor
    learnt: Tensor


@frozen(eq=False)
class Samples:
    """What the victim was trained on, and what it never saw."""

    private: Side
    other: Side

    def first(self, number: int) -> Tensor:
        """Return the first ``number`` images to ask about of each side, private ones first."""
        return torch.cat([self.private.asked[:number], self.other.asked[:number]])


def draw(run: DefenseRun, asked: int, learnt: int) -> Samples:
    """Draw at most ``asked`` and ``learnt`` images of each side; half of them where few are."""
    sides = {"private": run.train.images, "other": run.validation.images}
    size = min(asked, *(len(images) // 2 for images in sides.values()))
    cut = {}
    for name, images in sides.items():
        random = run.generator(f"samples/{name}")
        order = torch.randperm(len(images), generator=random, device=images.device)
        part, rest = order[:size], order[size : size + learnt]
        cut[name] = Side(as_float(images[part]), as_float(images[rest]))
    return Samples(**cut)
