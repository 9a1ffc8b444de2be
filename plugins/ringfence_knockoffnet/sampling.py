"""Which images of the pool are sent."""

from __future__ import annotations

import torch
from torch import Generator, Tensor


def uniform(size: int, count: int, generator: Generator) -> Tensor:
    """Return ``count`` of ``size`` rows ``(count,)``, without replacement.

    When the pool is exhausted it is gone through again in a new order, as in the released
    code; repeats are queries like any other.
    """
    rounds = -(-count // size)
    orders = [
        torch.randperm(size, generator=generator, device=generator.device) for _ in range(rounds)
    ]
    return torch.cat(orders)[:count]
