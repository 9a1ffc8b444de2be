"""How high tau may be before too many validation answers turn wrong."""

from __future__ import annotations

import torch
from torch import Tensor

from ringfence.inference import share as fraction
from ringfence_misinformation.switch import blend, share

MARGIN = 1e-9  #: below the tau at which one more answer would tie


def turning_share(probs: Tensor, wrong: Tensor) -> Tensor:
    """Return the least share of ``wrong`` ``(N, K)`` that takes each row's top-1 class, ``(N,)``.

    The lead of the winner over each rival falls linearly with the share, so that no search is
    needed; 1 where the class is never lost.
    """
    winner = probs.argmax(-1, keepdim=True)
    lead = probs.gather(-1, winner) - probs
    gain = wrong - wrong.gather(-1, winner)
    return torch.where(gain > 0, lead / (lead + gain), 1.0).amin(-1)


def largest_tau(
    probs: Tensor, wrong: Tensor, labels: Tensor, nu: float | None, max_loss: float
) -> float:
    """Return the largest tau in ``[0, 1]`` with at most the share ``max_loss`` turned wrong."""
    right = probs.argmax(-1) == labels
    turning = turning_share(probs, wrong)
    if nu is not None:
        turning = probs.amax(-1) + turning.logit() / nu
    turned = turning[right].sort().values
    allowed = int(max_loss * len(labels) + 1e-9)
    if allowed >= len(turned):
        return 1.0
    return min(1.0, max(0.0, turned[allowed].item() - MARGIN))


def judge(
    probs: Tensor, wrong: Tensor, labels: Tensor, nu: float | None, tau: float
) -> dict[str, float]:
    """Return what misinformation costs in accuracy, how much there is, how wrong it is."""
    shares = share(probs, nu, tau)
    answers = blend(probs, wrong, shares)
    accuracies = [fraction(one.argmax(-1) == labels) for one in (probs, answers, wrong)]
    return {
        "validation_loss": accuracies[0] - accuracies[1],
        "validation_share": shares.mean().item(),
        "misinformation_accuracy": accuracies[2],
    }
