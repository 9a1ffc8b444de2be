"""The contract of models."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ringfence.randomness import Streams, seeded
from ringfence.testing.promises import keeping, promise, quiet

IMAGES = 6
RELATIVE, ABSOLUTE = 1e-3, 1e-4  #: of float32 logits that were added up in another order


def check_model(
    plugin: Any,
    image_shape: tuple[int, ...] = (1, 28, 28),
    classes: int = 7,
    device: str = "cpu",
) -> None:
    """Takes float images in ``[0, 1]``, returns logits; two models share no weights."""
    model, other = (_made(plugin, classes, image_shape).to(device) for _ in range(2))
    images = torch.rand(IMAGES, *image_shape, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        logits = _checked(model, images.to(device), classes)
        _check_weights(model, other, images.to(device), logits)
        parts = torch.cat([model(part) for part in images.to(device).split((1, 3, 2))])
        told = "in eval mode an image's logits depend on it alone, not on its batch"
        promise("model-batches", _close(parts, logits), told)
        here = _made(plugin, classes, image_shape)(images)
        told = "the same weights give the same logits on every device"
        promise("model-device", _close(here, logits.cpu()), told)
        with keeping("model-hostile", "no image, black and white ones must be taken"):
            for strange in (images[:0], images[:2] * 0, images[:2] * 0 + 1):
                _checked(model, strange.to(device), classes)


def _close(one: Tensor, other: Tensor) -> bool:
    return torch.allclose(one, other, rtol=RELATIVE, atol=ABSOLUTE)


def _made(plugin: Any, classes: int, image_shape: tuple[int, ...]) -> nn.Module:
    """Return a fresh model, its weights drawn as a run does it."""
    with quiet("model-random"), seeded(Streams(0), "model"):
        model = plugin.make(classes, image_shape)
    promise("model-logits", isinstance(model, nn.Module), "make() returns a torch module")
    made: nn.Module = model.eval()
    return made


def _checked(model: nn.Module, images: Tensor, classes: int) -> Tensor:
    """Return the logits of ``images``."""
    kept = images.clone()
    logits: Tensor = model(images)
    promise("model-inputs", torch.equal(images, kept), "must not change the images")
    promise("model-logits", logits.shape == (len(images), classes), "one logit per class")
    promise("model-logits", logits.dtype is torch.float32, "logits are float32")
    promise("model-logits", logits.isfinite().all(), "logits are finite")
    return logits


def _check_weights(model: nn.Module, other: nn.Module, images: Tensor, logits: Tensor) -> None:
    own = {weight.data_ptr() for weight in model.parameters()}
    shared = own & {weight.data_ptr() for weight in other.parameters()}
    promise("model-new", own and not shared, "each model has weights of its own")
    told = "weights are drawn from PyTorch's stream: the same seed, the same model"
    promise("model-seed", torch.equal(other(images), logits), told)
    with keeping("model-saved", "weights that were saved and loaded make the same model"):
        for weight in other.parameters():
            weight.add_(1)
        other.load_state_dict({name: one.clone() for name, one in model.state_dict().items()})
        promise("model-saved", torch.equal(other(images), logits), "its logits are others now")
