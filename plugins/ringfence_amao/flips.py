"""What a flipped answer says: the least likely class, or, to compare, any other one.

AMAO, section 4.4.1 and its footnote 2: a hard label becomes the least likely class, a soft one
has its largest and its smallest probability exchanged. The answer format makes one of the other.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ringfence.randomness import keyed_draw


def exchanged(probs: Tensor, targets: Tensor) -> Tensor:
    """Return rows ``(N, K)`` whose top probability has changed places with that of ``targets``."""
    top = probs.argmax(-1, keepdim=True)
    swapped = probs.scatter(-1, top, probs.gather(-1, targets[:, None]))
    return swapped.scatter(-1, targets[:, None], probs.gather(-1, top))


def least(probs: Tensor) -> Tensor:
    """Return the least likely class ``(N,)`` of each row."""
    return probs.argmin(-1)


def other(probs: Tensor, secret: bytes, clients: Sequence[str], numbers: Sequence[int]) -> Tensor:
    """Return a class other than the top one ``(N,)``, drawn by key for each client and query."""
    classes = probs.shape[-1]
    draws = [
        1 + int(keyed_draw(secret, "class", *one) * (classes - 1))
        for one in zip(clients, numbers, strict=True)
    ]
    return (probs.argmax(-1) + torch.tensor(draws, device=probs.device)) % classes
