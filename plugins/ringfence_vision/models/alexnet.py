"""AlexNet: torchvision's, and one whose stem is made for small images."""

from __future__ import annotations

from typing import ClassVar

import torchvision
from attrs import define, field
from torch import nn

from ringfence.recipe import Recipe
from ringfence_vision.models.inputs import check, is_small, normalised
from ringfence_vision.models.pretrained import HELP, load


@define(eq=False)
class AlexNet:
    """Krizhevsky et al. 2012, with 3x3 convolutions at stride 1 up to 64 pixels."""

    recipe: ClassVar[Recipe] = Recipe(
        epochs=40,
        batch_size=128,
        optimizer="sgd",
        lr=0.02,
        weight_decay=5e-4,
        schedule="cosine",
    )

    pretrained: str | None = field(default=None, metadata={"help": HELP})

    def make(self, num_classes: int, image_shape: tuple[int, ...]) -> nn.Module:
        """Return a network, fresh or with the weights of ``pretrained``."""
        check("alexnet", image_shape, smallest=8)
        small = is_small(image_shape)
        channels = image_shape[0] if small else 3
        net = _small(num_classes, image_shape) if small else _large(num_classes)
        if self.pretrained:
            load(net, self.pretrained, "alexnet", None if small else "alexnet")
        return normalised(net, channels)


def _large(num_classes: int) -> nn.Module:
    net: nn.Module = torchvision.models.alexnet(num_classes=num_classes)
    return net


def _small(num_classes: int, image_shape: tuple[int, ...]) -> nn.Module:
    """Return five 3x3 convolutions over three halvings, and 1024-512 linear layers."""
    channels, height, width = image_shape
    convolutions = (
        *_convolution(channels, 64),
        nn.MaxPool2d(2),
        *_convolution(64, 192),
        nn.MaxPool2d(2),
        *_convolution(192, 384),
        *_convolution(384, 256),
        *_convolution(256, 256),
        nn.MaxPool2d(2),
        nn.Flatten(),
    )
    dense = (
        *_dense(256 * (height // 8) * (width // 8), 1024),
        *_dense(1024, 512),
        nn.Linear(512, num_classes),
    )
    return nn.Sequential(*convolutions, *dense)


def _convolution(channels: int, out: int) -> tuple[nn.Module, ...]:
    """Return a convolution whose start lets five of them learn without batch norm."""
    layer = nn.Conv2d(channels, out, 3, padding=1)
    nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    return layer, nn.ReLU()


def _dense(width: int, out: int) -> tuple[nn.Module, ...]:
    return nn.Dropout(0.5), nn.Linear(width, out), nn.ReLU()
