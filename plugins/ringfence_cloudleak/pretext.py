"""What a body learns before it meets the victim: other classes, or how an image was turned."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from ringfence.features import activations
from ringfence.images import as_float
from ringfence.training import Objective


class WithHead(nn.Module):
    """A network with another last layer; its own one is not touched."""

    def __init__(self, body: nn.Module, image: Tensor, classes: int) -> None:
        super().__init__()
        with torch.no_grad():
            late = activations(body.eval(), as_float(image)).features
        self.body, self.head = body, nn.Linear(late.shape[1], classes).to(late.device)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits ``(N, classes)``."""
        logits: Tensor = self.head(activations(self.body, images).features)
        return logits


def rotations(turns: tuple[int, ...], generator: Generator) -> Objective:
    """Return the task of telling by which quarter ``turns`` an image was turned.

    Gidaris, Singh, Komodakis, "Unsupervised Representation Learning by Predicting Image
    Rotations", ICLR 2018: a way to learn from images without labels.
    """

    def objective(model: nn.Module, images: Tensor, targets: Tensor) -> Tensor:
        drawn = torch.randint(
            len(turns), (len(images),), generator=generator, device=generator.device
        )
        stacked = torch.stack([images.rot90(turn, (2, 3)) for turn in turns])
        turned = stacked[drawn, torch.arange(len(images), device=images.device)]
        return F.cross_entropy(model(turned), drawn)

    return objective


def quarters(images: Tensor) -> tuple[int, ...]:
    """Return the quarter turns that keep the shape of ``images``."""
    return (0, 1, 2, 3) if images.shape[2] == images.shape[3] else (0, 2)
