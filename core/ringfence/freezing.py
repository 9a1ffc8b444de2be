"""Fine-tune the late layers only, as is usual for a network that was trained elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from torch import Tensor, nn

from ringfence.errors import RingfenceError
from ringfence.features import LAYERS
from ringfence.training import Objective, cross_entropy

Freeze = Literal["nothing", "convolutions", "body"]


@contextmanager
def frozen(model: nn.Module, what: Freeze) -> Iterator[Objective]:
    """Keep early layers as they are; yield what the others minimise.

    ``convolutions``: all layers before the first linear one; ``body``: all but the last linear
    or convolutional one. The order is that of registration. Dropout is off in frozen layers,
    and their batch normalisation keeps its statistics.
    """
    layers = [] if what == "nothing" else _early(model, what)
    weights = [w for layer in layers for w in layer.parameters() if w.requires_grad]

    def objective(model: nn.Module, images: Tensor, targets: Tensor) -> Tensor:
        for layer in layers:
            layer.eval()
        return cross_entropy(model, images, targets)

    for weight in weights:
        weight.requires_grad_(False)
    try:
        yield objective
    finally:
        for weight in weights:
            weight.requires_grad_()


def _early(model: nn.Module, what: Freeze) -> list[nn.Module]:
    """Return the layers, modules without children, before the first one that is to learn."""
    layers = [one for one in model.modules() if not any(True for _ in one.children())]
    late = [layer for layer in layers if isinstance(layer, LAYERS)]
    if not late:
        raise RingfenceError(f"{type(model).__name__} has no last layer to fine-tune alone.")
    linear = [layer for layer in late if isinstance(layer, nn.Linear)]
    first = linear[0] if what == "convolutions" and linear else late[-1]
    return layers[: [id(layer) for layer in layers].index(id(first))]
