"""A network of torchvision's that sees every image at the size its weights were made for.

Atli et al. fine-tune ImageNet's ResNets for victims and substitutes, and enlarge GTSRB's and
CIFAR-10's 32x32 pixels to 224x224 for them (Table 1).
"""

from __future__ import annotations

from collections import OrderedDict
from typing import ClassVar

from attrs import define, field, validators
from torch import Tensor, nn

from ringfence.images import adapt
from ringfence.plugins import build
from ringfence.recipe import Recipe
from ringfence_boogeyman.weights import located


class Scale(nn.Module):
    """Brings images ``(N, C, H, W)`` to three channels and ``size`` pixels a side."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size

    def forward(self, images: Tensor) -> Tensor:
        """Return float images ``(N, 3, size, size)``."""
        return adapt(images, (3, self.size, self.size))


@define(eq=False)
class Upscaled:
    """Any network of torchvision, behind a scaling of its images."""

    variant: ClassVar[str] = "name"
    #: Atli et al., section 3.2.2; the momentum, which they do not give, is the Knockoff code's
    recipe: ClassVar[Recipe] = Recipe(
        epochs=200,
        batch_size=64,
        optimizer="sgd",
        lr=0.1,
        momentum=0.5,
        schedule="step",
        step_epochs=60,
        gamma=0.1,
    )

    name: str = field(
        default="resnet34",
        validator=validators.min_len(1),
        metadata={"help": "as in torchvision.models, such as resnet34"},
    )
    pretrained: str | None = field(
        default=None, metadata={"help": "weights: a file, or a name torchvision knows"}
    )
    size: int = field(
        default=224, validator=validators.gt(0), metadata={"help": "pixels a side it sees"}
    )

    def make(self, num_classes: int, image_shape: tuple[int, ...]) -> nn.Module:
        """Return a network for images of any size, fresh or with the weights of ``pretrained``."""
        given = {"name": self.name, "pretrained": self.pretrained and located(self.pretrained)}
        net = build("models", "torchvision", given).make(num_classes, (3, self.size, self.size))
        return nn.Sequential(OrderedDict(scale=Scale(self.size), net=net))
