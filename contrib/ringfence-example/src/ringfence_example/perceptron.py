"""The model ``perceptron``."""

from __future__ import annotations

from typing import ClassVar

from attrs import define, field, validators
from torch import nn

from ringfence.recipe import Recipe


@define(eq=False)
class Perceptron:
    """One hidden layer with ReLU, for images of any shape."""

    recipe: ClassVar[Recipe] = Recipe(epochs=20, lr=1e-3, batch_size=64)

    width: int = field(default=128, validator=validators.gt(0), metadata={"help": "hidden units"})

    def make(self, num_classes: int, image_shape: tuple[int, ...]) -> nn.Module:
        """Return a new network from float images in [0, 1] to logits ``(N, K)``."""
        channels, height, width = image_shape
        return nn.Sequential(
            nn.Flatten(),
            nn.Linear(channels * height * width, self.width),
            nn.ReLU(),
            nn.Linear(self.width, num_classes),
        )
