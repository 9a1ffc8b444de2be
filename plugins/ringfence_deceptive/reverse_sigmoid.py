"""The reverse sigmoid of Lee et al., and how far it may go before the top-1 class changes."""

from __future__ import annotations

import torch
from torch import Tensor

CLIP = 1e-9  #: probabilities are kept this far from 0 and 1 before the logit
_SLACK = 1e-6  #: the winner keeps this share of its lead


def bend(probs: Tensor, beta: float, gamma: float, *, repair: bool = True) -> Tensor:
    """Return ``alpha * (y - r(y))`` for soft labels ``y`` ``(N, K)``, K > 1, float64.

    ``r(y) = beta * (sigmoid(gamma * logit(y)) - 1/2)`` (equation 4); ``alpha`` makes rows sum
    to one. With ``repair``, a row's beta shrinks as far as its top-1 class needs.
    """
    curve = torch.sigmoid(gamma * probs.logit(eps=CLIP)) - 0.5
    betas = _largest_beta(probs, curve).clamp(max=beta) if repair else probs.new_tensor(beta)
    bent = (probs - betas[..., None] * curve).clamp(min=0)
    bent = bent / bent.sum(-1, keepdim=True)
    if not repair:
        return bent
    kept = bent.argmax(-1) == probs.argmax(-1)  # a lead of a few ulps does not survive rounding
    return torch.where(kept[:, None], bent, probs)


def _largest_beta(probs: Tensor, curve: Tensor) -> Tensor:
    """Return the largest beta ``(N,)`` with which each row's winner still wins.

    The winner ``w`` beats ``j`` while ``y_w - beta c_w > y_j - beta c_j``: linear in beta, so
    that no search is needed.
    """
    winner = probs.argmax(-1, keepdim=True)
    lead = probs.gather(-1, winner) - probs
    slope = curve.gather(-1, winner) - curve
    bounds = torch.where(slope > 0, lead / slope, torch.inf)
    return bounds.amin(-1) * (1 - _SLACK)
