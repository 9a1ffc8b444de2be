"""Which layers of a substitute are trained."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from torch import nn

from ringfence.errors import BadOption
from ringfence.freezing import frozen
from ringfence.training import Objective


@contextmanager
def only(model: nn.Module, layers: Literal["all", "last"]) -> Iterator[Objective]:
    """Let these layers learn, also where the attack had frozen them; yield what they minimise."""
    before = {weight: weight.requires_grad for weight in model.parameters()}
    model.requires_grad_(True)
    try:
        with frozen(model, "body" if layers == "last" else "nothing") as objective:
            yield objective
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
