"""The rules by which an image becomes a new one."""

from __future__ import annotations

from typing import Protocol

import torch
from attrs import frozen
from torch import Generator, Tensor, nn

from ringfence.adversarial import fgsm, fgsm_random_targets


class Rule(Protocol):
    """Makes new images out of old ones."""

    @property
    def eps(self) -> float:
        """The largest change of a pixel."""
        ...

    def craft(self, substitute: nn.Module, images: Tensor, labels: Tensor, round: int) -> Tensor:
        """Return one new image each for float ``images`` ``(N, C, H, W)``.

        ``labels`` ``(N,)``: the victim's top-1 classes; ``round`` counts from 0.
        """
        ...


@frozen(eq=False)
class RandomTargets:
    """JBDA-TR: several steps, each to a class drawn anew (AMAO, Eq. 4)."""

    eps: float
    step: float
    steps: int
    any_class: bool
    generator: Generator

    def craft(self, substitute: nn.Module, images: Tensor, labels: Tensor, round: int) -> Tensor:
        """Walk inside the ball around each image; ``labels`` and ``round`` do not matter."""
        return fgsm_random_targets(
            substitute,
            images,
            self.eps,
            step=self.step,
            steps=self.steps,
            generator=self.generator,
            any_class=self.any_class,
        )


@frozen(eq=False)
class Jacobian:
    """JBDA: one step along the sign of the gradient of the label's own output.

    The gradient is that of the log-probability, which has the signs of the probability's.
    """

    eps: float
    toward: bool
    tau: int | None  #: rounds until the step changes its sign

    def craft(self, substitute: nn.Module, images: Tensor, labels: Tensor, round: int) -> Tensor:
        """Step towards ``labels``, or away from them."""
        turned = self.tau is not None and round // self.tau % 2 == 1
        return fgsm(substitute, images, labels, self.eps, toward=self.toward != turned)


@frozen(eq=False)
class Noise:
    """The control: each pixel moves by ``eps`` up or down, by the toss of a coin."""

    eps: float
    generator: Generator

    def craft(self, substitute: nn.Module, images: Tensor, labels: Tensor, round: int) -> Tensor:
        """Move ``images``; what the substitute has learnt does not matter."""
        tossed = torch.randint(
            2, images.shape, generator=self.generator, device=images.device, dtype=images.dtype
        )
        return (images + self.eps * (2 * tossed - 1)).clamp_(0, 1)
