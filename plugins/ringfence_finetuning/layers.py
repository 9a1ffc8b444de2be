"""Which layers of a substitute are trained."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from torch import nn

from ringfence.errors import BadOption


@contextmanager
def only(model: nn.Module, layers: Literal["all", "last"]) -> Iterator[None]:
    """Freeze the weights of all other layers for as long as this lasts."""
    chosen = set(model.parameters() if layers == "all" else last(model).parameters())
    before = {weight: weight.requires_grad for weight in model.parameters()}
    try:
        for weight in before:
            weight.requires_grad_(weight in chosen)
        yield
    finally:
        for weight, learns in before.items():
            weight.requires_grad_(learns)


def redraw(model: nn.Module) -> None:
    """Draw the weights of the last layer anew."""
    last(model).reset_parameters()


def last(model: nn.Module) -> nn.Linear | nn.Conv2d:
    """Return the last linear layer or convolution, in the order of the model's modules."""
    found = [one for one in model.modules() if isinstance(one, (nn.Linear, nn.Conv2d))]
    if not found:
        raise BadOption("The substitute has neither a linear layer nor a convolution to train.")
    return found[-1]
