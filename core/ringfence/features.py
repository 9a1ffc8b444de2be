"""What a network makes of images before its last layer, whatever its architecture.

The last layer is the linear or convolutional one that runs last, not the one that was
registered last. Nothing here waits for the device.
"""

from __future__ import annotations

import torch
from attrs import frozen
from torch import Tensor, nn

from ringfence.errors import RingfenceError
from ringfence.images import as_float
from ringfence.inference import BATCH

LAYERS = (nn.Linear, nn.Conv2d)


@frozen(eq=False)
class Activations:
    """What one forward pass computed, with gradients where they are recorded."""

    features: Tensor  #: ``(N, D)`` input of the last layer; of a convolution, its spatial mean
    logits: Tensor  #: ``(N, K)``
    head: nn.Module  #: the last layer


def activations(model: nn.Module, images: Tensor) -> Activations:
    """Return late features and logits of float images ``(N, C, H, W)`` in one pass.

    Raises :class:`ringfence.errors.RingfenceError` if no linear or convolutional layer runs.
    """
    seen: dict[nn.Module, Tensor] = {}

    def note(layer: nn.Module, given: tuple[Tensor, ...]) -> None:
        seen.pop(layer, None)  # a layer that runs twice counts when it runs last
        seen[layer] = given[0]

    layers = [layer for layer in model.modules() if isinstance(layer, LAYERS)]
    hooks = [layer.register_forward_pre_hook(note) for layer in layers]
    try:
        logits = model(images)
    finally:
        for hook in hooks:
            hook.remove()
    if not seen:
        raise RingfenceError(
            f"{type(model).__name__} runs no linear or convolutional layer, before which its "
            "features could be read. Choose another model."
        )
    head, found = seen.popitem()
    return Activations(_flat(found, head), logits, head)


@torch.no_grad()
def features(model: nn.Module, images: Tensor) -> Tensor:
    """Return the late features ``(N, D)`` of uint8 or float images ``(N, C, H, W)``, N > 0."""
    chunks = images.split(BATCH)
    return torch.cat([activations(model, as_float(chunk)).features for chunk in chunks])


def _flat(found: Tensor, head: nn.Module) -> Tensor:
    return found.mean((2, 3)) if isinstance(head, nn.Conv2d) else found.flatten(1)
