"""FeatureFool: images that look like their source and whose late features look like a guide's.

Yu et al., NDSS 2020, equations 8 to 11. The hinge and the distance are both to become small::

    hinge(x) = max(D(phi(x), phi(guide)) - D(phi(x), phi(source)) + margin, 0)
    minimise hinge(x) + mu * |x - source|^2,    x in the box,    D: squared Euclidean distance

Of two features scaled to length 1, D is at most 4.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from attrs import frozen
from torch import Tensor, nn

from ringfence.features import activations, features

FAINT = 1e-6  #: features shorter than this are scaled no further: their gradient would explode


@frozen(eq=False)
class Pairs:
    """N sources, each with a guide of another class, as the solvers need them."""

    sources: Tensor  #: ``(N, C, H, W)`` float in ``[0, 1]``
    away: Tensor  #: ``(N, D)`` features of the sources
    toward: Tensor  #: ``(N, D)`` features of the guides
    margins: Tensor  #: ``(N,)`` equation 11, by the guide's class

    def __len__(self) -> int:
        """Return the number of pairs."""
        return len(self.sources)

    def rows(self, some: slice) -> Pairs:
        """Return some of the pairs."""
        parts = (self.sources, self.away, self.toward, self.margins)
        return Pairs(*(part[some] for part in parts))


@frozen(eq=False)
class Objective:
    """What is minimised, on the features of one substitute in eval mode."""

    model: nn.Module
    mu: float  #: weight of the squared distance in pixel space
    eps: float | None  #: largest change of a pixel; none: the box is ``[0, 1]`` alone
    normalised: bool  #: features are scaled to length 1

    def features(self, images: Tensor) -> Tensor:
        """Return what FeatureFool compares ``(N, D)``, of float images ``(N, C, H, W)``."""
        return self._scaled(activations(self.model, images).features)

    def bank(self, images: Tensor) -> Tensor:
        """Return the same without gradients for any number of images, uint8 or float."""
        return self._scaled(features(self.model, images))

    def _scaled(self, found: Tensor) -> Tensor:
        return F.normalize(found, dim=1, eps=FAINT) if self.normalised else found

    def hinge(self, images: Tensor, pairs: Pairs) -> Tensor:
        """Return the triplet loss ``(N,)``, equation 10: zero once the guide is nearer."""
        found = self.features(images)
        near = (found - pairs.toward).square().sum(1)
        far = (found - pairs.away).square().sum(1)
        return (near - far + pairs.margins).clamp(min=0)

    def loss(self, images: Tensor, pairs: Pairs) -> Tensor:
        """Return what each pair minimises ``(N,)``."""
        moved = (images - pairs.sources).flatten(1).square().sum(1)
        return self.hinge(images, pairs) + self.mu * moved

    def slope(self, images: Tensor, pairs: Pairs) -> tuple[Tensor, Tensor]:
        """Return the loss ``(N,)`` and its gradient ``(N, C, H, W)``; weights get none."""
        with torch.enable_grad():
            images = images.detach().requires_grad_()
            loss = self.loss(images, pairs)
            (gradient,) = torch.autograd.grad(loss.sum(), images)
        return loss.detach(), gradient

    def box(self, pairs: Pairs) -> tuple[Tensor, Tensor]:
        """Return the lowest and the highest images ``(N, C, H, W)`` that are allowed."""
        reach = 1.0 if self.eps is None else self.eps
        return (pairs.sources - reach).clamp(min=0), (pairs.sources + reach).clamp(max=1)


def margins(found: Tensor, classes: Tensor, alpha: float) -> Tensor:
    """Return ``alpha`` less the mean squared distance within each class ``(K,)``.

    Equation 11, over the pairs of different rows of ``found`` ``(N, D)``, N > 0; ``alpha``
    alone where a class has fewer than two.
    """
    rows, size = found.double(), torch.bincount(classes).double()
    squares = torch.zeros_like(size).index_add(0, classes, rows.square().sum(1))
    sums = rows.new_zeros(len(size), rows.shape[1]).index_add(0, classes, rows)
    total = 2 * (size * squares - sums.square().sum(1))  # over ordered pairs; equal ones add 0
    mean = total.clamp(min=0) / (size * (size - 1)).clamp(min=1)
    return (alpha - mean).to(found.dtype)
