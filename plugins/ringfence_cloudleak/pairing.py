"""Which guide a source is paired with, and which crafted images are worth a query."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Generator, Tensor

Choice = Literal["random", "confidence", "margin"]


def pairs(allowed: Tensor, count: int, generator: Generator) -> Tensor:
    """Return rows of source and guide ``(count, 2)`` int64 for bool ``allowed`` ``(S, G)``.

    Every source takes its turn, each time with another random guide; one that has met all its
    guides meets them again in the same order. A source without a guide is left out.
    """
    sources = allowed.any(1).nonzero().flatten()
    if not len(sources):
        return sources.new_zeros(0, 2)
    keys = torch.rand(allowed.shape, generator=generator, device=allowed.device)
    order = keys.masked_fill(~allowed, 2.0).argsort(1)  # the guides of each source come first
    turn = torch.arange(count, device=allowed.device)
    rows = sources[turn % len(sources)]
    guides = order[rows, turn // len(sources) % allowed.sum(1)[rows]]
    return torch.stack([rows, guides], 1)


def repeated(chosen: Tensor) -> int:
    """Return how many rows of ``chosen`` ``(N, 2)`` are a pair that an earlier row is."""
    return len(chosen) - len(chosen.unique(dim=0))


def least_sure(probs: Tensor, count: int, by: Choice) -> Tensor:
    """Return the rows ``(count,)`` of ``probs`` ``(N, K)`` of which the model is least sure.

    ``confidence``: by the largest probability; ``margin``: by its lead over the second;
    ``random``: the first rows, whatever their probabilities. In their order.
    """
    if by == "random" or count >= len(probs):
        return torch.arange(min(count, len(probs)), device=probs.device)
    top = probs.topk(min(2, probs.shape[1]), dim=1).values
    sure = top[:, 0] if by == "confidence" else top[:, 0] - top[:, -1]
    return sure.argsort(stable=True)[:count].sort().values
