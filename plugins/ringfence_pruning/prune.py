"""Magnitude pruning of the weights of convolutions and linear layers; never of biases or norms."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Literal

import torch
from torch import Tensor, nn


@torch.no_grad()
def prune(model: nn.Module, rate: float, scope: Literal["layer", "global"]) -> tuple[int, int]:
    """Set the smallest weights to zero in place; return how many of how many.

    Exactly ``floor(rate * n)`` entries of a layer's ``n``, or of all layers' together; of equal
    ones those that come first.
    """
    layers = [m.weight for m in model.modules() if isinstance(m, (nn.Conv2d, nn.Linear))]
    groups = [[weight] for weight in layers] if scope == "layer" else [layers]
    # rate as typed: in floats, 0.29 * 100 is below 29
    pruned = sum(_zero(group, Fraction(str(rate))) for group in groups if group)
    return pruned, sum(weight.numel() for weight in layers)


def _zero(weights: Sequence[Tensor], rate: Fraction) -> int:
    sizes = torch.cat([weight.abs().flatten() for weight in weights])
    count = math.floor(rate * len(sizes))
    smallest = torch.zeros_like(sizes, dtype=torch.bool)
    smallest[sizes.argsort(stable=True)[:count]] = True  # topk takes any of equals
    masks = smallest.split([weight.numel() for weight in weights])
    for weight, mask in zip(weights, masks, strict=True):
        weight.masked_fill_(mask.view(weight.shape), 0)
    return count
