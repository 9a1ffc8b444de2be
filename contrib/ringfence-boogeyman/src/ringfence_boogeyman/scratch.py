"""The one-and-a-half classifier as a network of its own, trained from scratch.

Atli et al., section 4.2.2: Adam with 0.001 for 100 epochs, then 100 with half of it.
"""

from __future__ import annotations

import torch
from torch import Generator, Tensor, nn

from ringfence.images import as_float
from ringfence.plugins import build
from ringfence.recipe import Recipe
from ringfence.training import fit

SIDES = 2  #: 0: the victim's, 1: an outlier


def recipe(epochs: int, batch_size: int) -> Recipe:
    """Return the paper's recipe for ``epochs``, the rate halved after the first half of them."""
    return Recipe(
        epochs=epochs,
        batch_size=batch_size,
        lr=1e-3,
        schedule="step",
        step_epochs=max(1, epochs // 2),
        gamma=0.5,
    )


def fresh(backbone: str, shape: tuple[int, ...], device: str) -> nn.Module:
    """Return an untrained network of the model plugin ``backbone`` for images of ``shape``."""
    net: nn.Module = build("models", backbone).make(SIDES, shape)
    return net.to(device)


def learn(
    net: nn.Module, inside: Tensor, outside: Tensor, recipe: Recipe, generator: Generator
) -> dict[str, Tensor]:
    """Return the weights of ``net``, trained to tell ``outside`` from ``inside`` images."""
    if inside.dtype != outside.dtype:
        inside, outside = as_float(inside), as_float(outside)
    images = torch.cat([inside, outside])
    sides = torch.arange(SIDES).repeat_interleave(torch.tensor([len(inside), len(outside)]))
    fit(net, images, sides.to(images.device), recipe, generator=generator, name="onehalf")
    return net.state_dict()


def log_odds(net: nn.Module, images: Tensor) -> Tensor:
    """Return how likely float ``images`` are outliers: log-odds ``(N,)`` float64."""
    sides: Tensor = net(images).double()
    return sides[:, 1] - sides[:, 0]
