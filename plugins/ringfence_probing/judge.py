"""Several answers to one image: do they agree, and what do most of them say?

``answers`` are ``(A, N, K)``: A answers to each of N images, the first to the image itself. A row
of zeros, a refusal, has no say.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from ringfence.answers import refused


def differ(answers: Tensor, tolerance: float | None) -> Tensor:
    """Return bool ``(N,)``: two answers have other top-1 classes, or lie too far apart.

    Farther than ``tolerance`` in l1, if one is given.
    """
    if tolerance is None:
        return _ballots(answers).any(0).sum(-1) > 1
    told = ~refused(answers)
    apart = (answers[:, None] - answers[None]).abs().sum(-1) > tolerance
    return (apart & told[:, None] & told[None]).flatten(0, 1).any(0)


def elected(answers: Tensor) -> Tensor:
    """Return ``(N, K)``: the mean of the answers whose top-1 class is that of most.

    Of equals the class that was answered first. Zeros where every answer is a refusal.
    """
    asks = len(answers)
    ballots = _ballots(answers).to(answers.dtype)
    early = answers.new_tensor([1 + 2.0**-ask / 2 for ask in range(asks)])  # below 1 in all
    winner = (ballots * early[:, None, None]).sum(0).argmax(-1)
    agree = ballots.gather(-1, winner.expand(asks, -1)[..., None])
    return (answers * agree).sum(0) / agree.sum(0).clamp(min=1)


def _ballots(answers: Tensor) -> Tensor:
    """Return bool ``(A, N, K)``: the class that each answer votes for."""
    votes = F.one_hot(answers.argmax(-1), answers.shape[-1]).bool()
    return votes & ~refused(answers)[..., None]
