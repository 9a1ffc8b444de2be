"""The blind walk: how far from an image a model's label changes, with queries alone.

Section 5.2 of the paper. Sizes of steps as in the authors' code.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from attrs import evolve, frozen
from torch import Generator, Tensor

Label = Callable[[Tensor], Tensor]  #: images ``(N, C, H, W)`` -> classes ``(N,)``


def _uniform(like: Tensor, random: Generator) -> Tensor:
    return torch.rand(like.shape, generator=random, device=like.device) * 2 - 1


def _gaussian(like: Tensor, random: Generator) -> Tensor:
    return torch.randn(like.shape, generator=random, device=like.device)


def _laplace(like: Tensor, random: Generator) -> Tensor:
    centred = torch.rand(like.shape, generator=random, device=like.device) - 0.5
    return -centred.sign() * torch.log1p(-2 * centred.abs().clamp(max=0.5 - 1e-7))


#: noise, the length of its step, and the norm that its way is measured in
NOISES = ((_uniform, 0.005, torch.inf), (_gaussian, 0.005, 2.0), (_laplace, 0.01, 1.0))


@frozen
class Walk:
    """Walks of each kind of noise, in so many directions and steps."""

    directions: int
    steps: int
    scale: float

    @property
    def cost(self) -> int:
        """The most queries about one image."""
        return 1 + len(NOISES) * self.directions * self.steps

    def within(self, limit: int, images: int) -> Walk:
        """Return a walk in as many directions as ``limit`` queries allow, and no less than one."""
        most = (limit // images - 1) // (len(NOISES) * self.steps)
        return evolve(self, directions=max(1, min(self.directions, most)))

    def distances(self, label: Label, images: Tensor, random: Generator) -> Tensor:
        """Return ``(N, 3 * directions)``: distances by noise, the smallest first.

        ``images`` are float in ``[0, 1]``; the same ``random`` stream walks the same ways.
        """
        own, columns = label(images), []
        for noise, size, norm in NOISES:
            ways = [noise(images, random) * size * self.scale for _ in range(self.directions)]
            found = [self._walked(label, images, own, way, norm) for way in ways]
            columns.append(torch.stack(found, 1).sort(1).values)
        return torch.cat(columns, 1)

    def _walked(
        self, label: Label, images: Tensor, own: Tensor, way: Tensor, norm: float
    ) -> Tensor:
        """Return how far each image was moved ``(N,)`` when its label changed, or at the end."""
        moved, walking = torch.zeros_like(images), torch.arange(len(images), device=images.device)
        for step in range(1, self.steps + 1):
            there = (images[walking] + step * way[walking]).clamp(0, 1)
            moved[walking] = there - images[walking]
            walking = walking[label(there) == own[walking]]
            if not len(walking):
                break
        return torch.linalg.vector_norm(moved.flatten(1), norm, dim=1)
