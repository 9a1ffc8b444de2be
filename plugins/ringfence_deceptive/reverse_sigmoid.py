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
    curve = torch.tanh(probs.logit(eps=CLIP) * (gamma / 2)) / 2  # sigmoid(z) - 1/2
    betas = _largest_beta(probs, curve).clamp(max=beta) if repair else probs.new_tensor(beta)
    bent = (probs - betas[..., None] * curve).clamp(min=0)
    bent = bent / bent.sum(-1, keepdim=True)
    if not repair:
        return bent
    top = probs.argmax(-1)
    kept = (bent.argmax(-1) == top) & (bent.float().argmax(-1) == top)  # sessions cast to float32
    return torch.where(kept[:, None], bent, probs)  # a lead of some ulps has no room for a beta


def _largest_beta(probs: Tensor, curve: Tensor) -> Tensor:
    """Return the largest beta ``(N,)`` with which each row's winner keeps its share of the lead.

    The winner ``w`` is ahead of ``j`` by ``(y_w - y_j) - beta (c_w - c_j)``: linear in beta, so
    that no search is needed.
    """
    winner = probs.argmax(-1, keepdim=True)
    lead = probs.gather(-1, winner) - probs
    slope = curve.gather(-1, winner) - curve
    bounds = torch.where(slope > 0, lead / slope, torch.inf)
    return bounds.amin(-1) * (1 - KEEP)
