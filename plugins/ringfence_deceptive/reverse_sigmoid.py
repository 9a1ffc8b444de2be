"""The reverse sigmoid of Lee et al., and how far it may go before the top-1 class changes.

Every row is computed alike wherever it lies in a batch. That excludes ``torch.sigmoid``, whose
last bits depend on the position: a near tie would then be answered by the batch size.
"""

from __future__ import annotations

import torch
from torch import Tensor

CLIP = 1e-9  #: probabilities are kept this far from 0 and 1 before the logit
KEEP = 0.01  #: share of its lead that a winner keeps: the rest must outlive the cast to float32


def bend(probs: Tensor, beta: float, gamma: float, *, repair: bool = True) -> Tensor:
    """Return ``alpha * (y - r(y))`` for soft labels ``y`` ``(N, K)``, K > 1, float64.

    ``r(y) = beta * (sigmoid(gamma * logit(y)) - 1/2)``; ``alpha`` makes rows sum
    to one. With ``repair``, a row's beta shrinks as far as its top-1 class needs.
    """
    curve = torch.tanh(probs.logit(eps=CLIP) * (gamma / 2))  # twice sigmoid(z) - 1/2
    highest, winner = probs.max(-1, keepdim=True)
    half: Tensor | float = beta / 2
    if repair:
        half = _largest(highest - probs, curve.gather(-1, winner) - curve).clamp(max=half)
    bent = (probs - half * curve).clamp_(min=0)
    bent /= bent.sum(-1, keepdim=True)
    if not repair:
        return bent
    single = bent.float()  # sessions cast so; who is ahead there is ahead in float64 too
    kept = (single < single.gather(-1, winner)).sum(-1, keepdim=True) == probs.shape[-1] - 1
    return torch.where(kept, bent, probs)  # a lead of some ulps has no room for a beta


def _largest(lead: Tensor, slope: Tensor) -> Tensor:
    """Return half the largest beta ``(N, 1)`` with which each winner keeps its share of the lead.

    It is ahead of ``j`` by ``lead - beta / 2 * slope``, ``slope`` being the difference of their
    curves: linear in beta, so that no search is needed.
    """
    bounds = torch.where(slope > 0, lead / slope, torch.inf)
    return bounds.amin(-1, keepdim=True) * (1 - KEEP)
