"""Which images of the pool are sent, and which answers are kept back to judge the substitute."""

from __future__ import annotations

import torch
from torch import Generator, Tensor


def uniform(size: int, count: int, generator: Generator) -> Tensor:
    """Return ``count`` of ``size`` rows ``(count,)``, without replacement.

    When the pool is exhausted it is gone through again in a new order, as in the released
    code; repeats are queries like any other.
    """
    rounds = max(1, -(-count // size))
    orders = [
        torch.randperm(size, generator=generator, device=generator.device) for _ in range(rounds)
    ]
    return torch.cat(orders)[:count]


def last_images(rows: Tensor, count: int) -> Tensor:
    """Return where ``rows`` ``(N,)`` hold one of the last ``count``, bool ``(N,)``.

    An earlier repeat of such an image is among them, or the substitute would have learnt it.
    """
    return torch.isin(rows, rows[len(rows) - count :])
