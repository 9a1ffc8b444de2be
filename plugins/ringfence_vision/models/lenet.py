"""Two networks that both go by the name of LeNet: LeCun's of 1998, and a wider one."""

from __future__ import annotations

from itertools import pairwise
from typing import ClassVar

import torch
from attrs import define
from torch import Tensor, nn

from ringfence.recipe import Recipe
from ringfence_vision.models.inputs import check, normalised


@define(eq=False)
class LeNet5:
    """LeCun et al. 1998 with ReLU and max-pooling: 6-16-120-84; 61,706 parameters."""

    recipe: ClassVar[Recipe] = Recipe(epochs=18, batch_size=256, lr=4e-3, schedule="cosine")

    def make(self, num_classes: int, image_shape: tuple[int, ...]) -> nn.Module:
        """Return a fresh network."""
        check("lenet5", image_shape, smallest=12)
        channels = image_shape[0]
        features = nn.Sequential(
            nn.Conv2d(channels, 6, 5, padding=2),  # 28 pixels meet the 32 of the paper
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(6, 16, 5),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
        )
        layers = (_width(features, image_shape), 120, 84, num_classes)
        return normalised(nn.Sequential(features, _dense(layers)), channels)


@define(eq=False)
class LeNet:
    """PyTorch's old MNIST example, also in the knockoffnets code: 20-50-500; 431,080 parameters."""

    recipe: ClassVar[Recipe] = Recipe(epochs=20, batch_size=128, lr=1e-3, schedule="cosine")

    def make(self, num_classes: int, image_shape: tuple[int, ...]) -> nn.Module:
        """Return a fresh network."""
        check("lenet", image_shape, smallest=16)
        channels = image_shape[0]
        features = nn.Sequential(
            nn.Conv2d(channels, 20, 5),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(20, 50, 5),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
        )
        layers = (_width(features, image_shape), 500, num_classes)
        return normalised(nn.Sequential(features, _dense(layers)), channels)


def _width(features: nn.Module, image_shape: tuple[int, ...]) -> int:
    flat: Tensor = features(torch.zeros(1, *image_shape))
    return flat.shape[1]


def _dense(widths: tuple[int, ...]) -> nn.Sequential:
    """Return linear layers with ReLU in between."""
    layers = [layer for pair in pairwise(widths) for layer in (nn.ReLU(), nn.Linear(*pair))]
    return nn.Sequential(*layers[1:])
