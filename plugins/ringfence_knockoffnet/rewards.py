"""What an answer is worth: certainty, diversity, and how much it surprises the substitute.

Section 4.1.2 of the paper. Answers may be one-hot, rounded, logits or, where a query was
refused, all zero: rewards are finite for all of them, and a refusal earns nothing.
"""

from __future__ import annotations

import torch
from attrs import define, field
from torch import Tensor

FLAT = 1e-6  #: rewards that never differed by more tell nothing, and are not blown up to [0, 1]


def as_labels(answers: Tensor) -> Tensor:
    """Return answers ``(B, K)`` as soft labels in float64, all-zero rows as they are."""
    kept = answers.double().clamp(min=0)
    total = kept.sum(-1, keepdim=True)
    return torch.where(total > 0, kept / total, 0.0)


def certainty(labels: Tensor) -> Tensor:
    """Return the margin ``(B,)`` between the two likeliest classes, in ``[0, 1]``."""
    top = labels.topk(min(2, labels.shape[1]), dim=-1).values
    return top[:, 0] - top[:, 1:].sum(-1)


def diversity(labels: Tensor, mean: Tensor) -> Tensor:
    """Return ``sum_k max(0, y_k - mean_k)`` ``(B,)``, in ``[0, 1]``; ``mean``: ``(K,)``."""
    return (labels - mean).clamp(min=0).sum(-1)


def loss(labels: Tensor, logits: Tensor) -> Tensor:
    """Return the cross-entropy ``(B,)`` of the substitute's ``logits`` ``(B, K)``, in nats."""
    logits = logits.double().nan_to_num(posinf=1e9, neginf=-1e9)  # of a substitute that diverged
    return -(labels * logits.log_softmax(-1)).sum(-1)


@define(eq=False)
class Window:
    """The last ``size`` rows of something; their mean is what new rows are compared with."""

    size: int
    _rows: Tensor | None = field(default=None, init=False)

    def mean(self, rows: Tensor) -> Tensor:
        """Return the mean of what was kept, or at the start of ``rows``; then keep ``rows``."""
        known = rows if self._rows is None else self._rows
        self._rows = rows[-self.size :] if known is rows else torch.cat([known, rows])[-self.size :]
        return known.mean(0)


@define(eq=False)
class Baseline:
    """Rewards above their recent mean, each kind on the same scale."""

    past: Window
    _low: Tensor | None = field(default=None, init=False)
    _high: Tensor | None = field(default=None, init=False)

    def advantages(self, rewards: Tensor) -> Tensor:
        """Return the sum ``(B,)`` over kinds of reward ``(B, R)``, each minus its mean.

        A kind is scaled by all that was seen of it, so that it lies within ``[0, 1]``.
        """
        low, high = rewards.amin(0), rewards.amax(0)
        self._low = low if self._low is None else torch.minimum(self._low, low)
        self._high = high if self._high is None else torch.maximum(self._high, high)
        spread, above = self._high - self._low, rewards - self.past.mean(rewards)
        return torch.where(spread > FLAT, above / spread, 0.0).sum(-1)
