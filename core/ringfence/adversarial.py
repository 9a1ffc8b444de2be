"""Gradient attacks in pixel space, on whole batches: FGSM, PGD, FGSM with random targets.

A model takes images in ``[0, 1]`` and normalises inside, so every step is one in pixels. What
comes back lies in the box ``[0, 1]`` exactly, and within ``eps`` of the image it started from
but for float rounding. No gradient of a weight is computed or touched; train or eval mode is
the caller's, and so are the statistics that batch normalisation keeps of every pass in train
mode. Nothing waits for the device, and an image's own path depends on no other image unless the
model makes it so.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

#: What a step makes smaller: logits ``(N, K)``, in float64 -> the sum over the images
Loss = Callable[[Tensor], Tensor]


def fgsm(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    eps: float,
    *,
    step: float | None = None,
    toward: bool = False,
    generator: Generator | None = None,
) -> Tensor:
    """Return float ``images`` ``(N, C, H, W)`` after one sign step away from ``labels`` ``(N,)``.

    ``toward``: towards them. Goodfellow et al. 2015. With a ``generator`` it starts at a random
    place of the ball, where a ``step`` other than ``eps`` is usual (Wong, Rice, Kolter 2020:
    1.25 eps).
    """
    step = eps if step is None else step
    return pgd(model, images, labels, eps, step=step, steps=1, toward=toward, generator=generator)


def pgd(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    eps: float,
    *,
    step: float,
    steps: int,
    toward: bool = False,
    generator: Generator | None = None,
) -> Tensor:
    """Return float ``images`` ``(N, C, H, W)`` after ``steps`` sign steps away from ``labels``.

    Madry et al. 2018: projected gradient descent in the ball of radius ``eps`` (maximum norm),
    from a random place of it where there is a ``generator``. ``toward``: towards ``labels``.
    """
    sign = 1 if toward else -1

    def loss(logits: Tensor) -> Tensor:
        return sign * F.cross_entropy(logits, labels, reduction="sum")

    return _descend(model, images, eps, step, steps, loss, generator)


def fgsm_random_targets(
    model: nn.Module,
    images: Tensor,
    eps: float,
    *,
    step: float,
    steps: int,
    generator: Generator,
    any_class: bool = False,
) -> Tensor:
    """Return float ``images`` ``(N, C, H, W)`` after ``steps`` steps, each to a class of its own.

    T-RND I-FGSM of Juuti et al., PRADA, EuroS&P 2019; AMAO, Eq. 4. In every step each image
    draws a new target, uniform over the classes other than the one it is predicted to be at that
    moment; ``any_class``: over all of them.
    """

    def loss(logits: Tensor) -> Tensor:
        classes = logits.shape[1]
        least = 0 if any_class else 1
        draws = torch.randint(
            least, classes, logits.shape[:1], generator=generator, device=logits.device
        )
        targets = draws if any_class else (logits.detach().argmax(-1) + draws) % classes
        return F.cross_entropy(logits, targets, reduction="sum")

    return _descend(model, images, eps, step, steps, loss)


def _descend(
    model: nn.Module,
    images: Tensor,
    eps: float,
    step: float,
    steps: int,
    loss: Loss,
    generator: Generator | None = None,
) -> Tensor:
    """Return ``images`` after sign steps down ``loss``, inside the ball and the box."""
    images = images.detach()
    low, high = (images - eps).clamp_(min=0), (images + eps).clamp_(max=1)
    moved = images
    if generator is not None:
        noise = torch.empty_like(images).uniform_(-eps, eps, generator=generator)
        moved = _between(low, images + noise, high)
    for _ in range(steps):
        moved = moved.detach().requires_grad_()
        with torch.enable_grad():
            # near probability 1 the float32 gradient of the cross-entropy is exactly zero
            value = loss(model(moved).double())
        (gradient,) = torch.autograd.grad(value, moved)
        moved = _between(low, moved.detach() - step * gradient.sign(), high)
    return moved


def _between(low: Tensor, images: Tensor, high: Tensor) -> Tensor:
    return torch.minimum(torch.maximum(images, low), high)
