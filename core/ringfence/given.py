"""A user's own objects in the place of installed data sets and models."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path

from attrs import define
from torch import nn

from ringfence.errors import BadOption
from ringfence.types import ImageSet


@define(eq=False)
class GivenSet:
    """A data set that the user has loaded."""

    images: ImageSet

    def load(self, root: Path | None, offline: bool) -> ImageSet:
        """Return it."""
        return self.images


@define(eq=False)
class OwnModel:
    """An architecture that the user's function makes."""

    factory: Callable[[], nn.Module]

    def make(self, num_classes: int, image_shape: tuple[int, ...]) -> nn.Module:
        """Return a fresh model."""
        return self.factory()


@define(eq=False)
class GivenModel:
    """The architecture of the user's trained model."""

    blank: nn.Module

    def make(self, num_classes: int, image_shape: tuple[int, ...]) -> nn.Module:
        """Return a fresh model."""
        return fresh_copy(self.blank)


def fresh_copy(model: nn.Module) -> nn.Module:
    """Return a model of the same architecture with weights drawn anew.

    Raises :class:`BadOption` where a module with weights does not know how to draw them.
    """
    copied = copy.deepcopy(model)
    for name, module in copied.named_modules():
        reset = getattr(module, "reset_parameters", None)
        if callable(reset):
            reset()
        elif list(module.parameters(recurse=False)):
            raise BadOption(
                f"Module {name or 'model'!r} ({type(module).__name__}) has weights but no "
                "reset_parameters(). Give substitute= as a function that makes a fresh model."
            )
    return copied.requires_grad_(True)
