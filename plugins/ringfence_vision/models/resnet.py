"""ResNets: torchvision's, and their form for small images."""

from __future__ import annotations

from typing import ClassVar

import torchvision
from attrs import define, field
from torch import nn

from ringfence.recipe import Recipe
from ringfence_vision.models.inputs import check, is_small, normalised
from ringfence_vision.models.pretrained import HELP, load


@define(eq=False)
class ResNet18:
    """He et al. 2016; up to 64 pixels a 3x3 stem with stride 1 and no max-pool."""

    recipe: ClassVar[Recipe] = Recipe(
        epochs=50,
        batch_size=128,
        optimizer="sgd",
        lr=0.1,
        weight_decay=5e-4,
        schedule="cosine",
    )

    pretrained: str | None = field(default=None, metadata={"help": HELP})

    def make(self, num_classes: int, image_shape: tuple[int, ...]) -> nn.Module:
        """Return a network, fresh or with the weights of ``pretrained``."""
        return _make("resnet18", num_classes, image_shape, self.pretrained)


@define(eq=False)
class ResNet34:
    """As ``resnet18``, with twice the blocks; the recipe is for 224 pixels."""

    recipe: ClassVar[Recipe] = Recipe(
        epochs=50,
        batch_size=64,
        optimizer="sgd",
        lr=0.05,
        weight_decay=1e-4,
        schedule="cosine",
    )

    pretrained: str | None = field(default=None, metadata={"help": HELP})

    def make(self, num_classes: int, image_shape: tuple[int, ...]) -> nn.Module:
        """Return a network, fresh or with the weights of ``pretrained``."""
        return _make("resnet34", num_classes, image_shape, self.pretrained)


def _make(
    name: str, num_classes: int, image_shape: tuple[int, ...], pretrained: str | None
) -> nn.Module:
    check(name, image_shape, smallest=8)
    small = is_small(image_shape)
    net = torchvision.models.get_model(name, num_classes=num_classes)
    if small:  # the variant of kuangliu/pytorch-cifar
        net.conv1 = nn.Conv2d(image_shape[0], 64, 3, padding=1, bias=False)
        nn.init.kaiming_normal_(net.conv1.weight, mode="fan_out", nonlinearity="relu")
        net.maxpool = nn.Identity()
    if pretrained:
        load(net, pretrained, name, None if small else name)
    return normalised(net, image_shape[0] if small else 3)
