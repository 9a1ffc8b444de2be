"""What a model says of many images, and how often two answers agree."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ringfence.images import as_float
from ringfence.types import Split

BATCH = 512  #: images at a time; bounds memory, and is a part of what determinism rests on


@torch.no_grad()
def logits(model: nn.Module, images: Tensor) -> Tensor:
    """Return the model's logits ``(N, K)`` for uint8 or float images ``(N, C, H, W)``, N > 0."""
    if len(images) <= BATCH:
        told: Tensor = model(as_float(images))
        return told
    return torch.cat([model(as_float(chunk)) for chunk in images.split(BATCH)])


def predict(model: nn.Module, images: Tensor) -> Tensor:
    """Return the model's top-1 classes ``(N,)``."""
    return logits(model, images).argmax(-1)


def accuracy(model: nn.Module, data: Split) -> float:
    """Return the fraction of ``data`` that ``model`` labels correctly."""
    return share(predict(model, data.images) == data.labels)


def share(hits: Tensor) -> float:
    """Return the fraction of ``hits`` that are true."""
    return hits.double().mean().item()
