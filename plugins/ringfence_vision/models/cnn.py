"""Plain networks of the authors of PRADA and DAWN, also used by Atli et al."""

from __future__ import annotations

from typing import ClassVar

import torch
from attrs import define, field, validators
from torch import nn

from ringfence.recipe import Recipe
from ringfence_vision.models.inputs import check, normalised


@define(eq=False)
class Cnn5:
    """MNIST-5L of DAWN's code: three 2x2 convolutions, two linear layers.

    Atli et al.'s GTSRB-5L is not public; this is our reading of it for 32x32.
    """

    recipe: ClassVar[Recipe] = Recipe(  # Atli et al.; the batch size is ours
        epochs=200, batch_size=128, lr=1e-3, schedule="step", step_epochs=100, gamma=0.5
    )

    dropout: float = field(
        default=0.0,
        validator=[validators.ge(0), validators.lt(1)],
        metadata={"help": "share dropped before the last layer"},
    )

    def make(self, num_classes: int, image_shape: tuple[int, ...]) -> nn.Module:
        """Return a fresh network."""
        check("cnn5", image_shape, smallest=11)
        channels = image_shape[0]
        features = nn.Sequential(
            nn.Conv2d(channels, 32, 2),
            nn.MaxPool2d(2),
            nn.ReLU(),
            nn.Conv2d(32, 64, 2),
            nn.MaxPool2d(2),
            nn.ReLU(),
            nn.Conv2d(64, 128, 2),
            nn.ReLU(),
            nn.Flatten(),
        )
        width = features(torch.zeros(1, *image_shape)).shape[1]
        dense = (nn.Linear(width, 200), nn.ReLU(), nn.Dropout(self.dropout))
        return normalised(nn.Sequential(features, *dense, nn.Linear(200, num_classes)), channels)


@define(eq=False)
class Cnn9:
    """CIFAR10-9L of DAWN's code: six 3x3 convolutions, three linear layers."""

    recipe: ClassVar[Recipe] = Recipe(  # Atli et al.; the batch size is ours
        epochs=200, batch_size=128, lr=1e-3, schedule="step", step_epochs=100, gamma=0.5
    )

    dropout: float = field(
        default=0.1,
        validator=[validators.ge(0), validators.lt(1)],
        metadata={"help": "share dropped around the linear layers"},
    )

    def make(self, num_classes: int, image_shape: tuple[int, ...]) -> nn.Module:
        """Return a fresh network."""
        check("cnn9", image_shape, smallest=8)
        channels = image_shape[0]
        net = nn.Sequential(
            *_block(channels, 32, 64),
            *_block(64, 128, 128),
            nn.Dropout2d(self.dropout / 2),
            *_block(128, 256, 256),
            nn.Flatten(),
            nn.Dropout(self.dropout),
            *_dense(256 * (image_shape[1] // 8) * (image_shape[2] // 8), 1024),
            *_dense(1024, 512),
            nn.Dropout(self.dropout),
            nn.Linear(512, num_classes),
        )
        return normalised(net, channels)


def _block(channels: int, first: int, second: int) -> tuple[nn.Module, ...]:
    """Return two convolutions and a pool; only the first one is followed by a batch norm."""
    return (
        nn.Conv2d(channels, first, 3, padding=1),
        nn.BatchNorm2d(first),
        nn.ReLU(),
        nn.Conv2d(first, second, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
    )


def _dense(width: int, out: int) -> tuple[nn.Module, ...]:
    return nn.Linear(width, out), nn.ReLU()
