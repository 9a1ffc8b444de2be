"""Put another class on top of a soft label."""

from __future__ import annotations

import torch
from torch import Tensor

LEAD = 1e-6  #: by which the new top class wins at least: sessions hand out float32


def swapped(probs: Tensor, tops: Tensor, labels: Tensor) -> Tensor:
    """Return rows ``(N, K)`` in which ``tops`` and ``labels`` ``(N,)`` have changed places."""
    pair = torch.stack([tops, labels], 1)
    return raised(probs.scatter(1, pair, probs.gather(1, pair.flip(1))), labels)


def permuted(probs: Tensor, orders: Tensor, labels: Tensor) -> Tensor:
    """Return rows ``(N, K)`` in which class ``c`` has moved to ``orders[:, c]``."""
    return raised(torch.empty_like(probs).scatter(1, orders, probs), labels)


def raised(probs: Tensor, labels: Tensor) -> Tensor:
    """Return rows whose ``labels``, their largest entries, win by :data:`LEAD` or more.

    Where the victim wavered between classes, the right one could win a tie.
    """
    own = labels[:, None]
    rest = probs.scatter(1, own, -1).amax(1, keepdim=True)
    close = probs.gather(1, own) - rest < LEAD
    pushed = (probs * (1 - LEAD)).scatter_add(1, own, torch.full_like(rest, LEAD))
    return torch.where(close, pushed, probs)
