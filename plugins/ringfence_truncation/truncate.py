"""Three ways to say less of soft labels ``(N, K)`` float64; what comes back are soft labels.

A row is computed alike wherever it lies in a batch. A row of zeros, a refusal, stays one.
"""

from __future__ import annotations

from torch import Tensor

from ringfence.answers import answer_format


def label(probs: Tensor) -> Tensor:
    """Return one-hot rows of the top-1 classes; of equals the first."""
    return answer_format("hard")(probs)


def largest(probs: Tensor, k: int) -> Tensor:
    """Return the ``k`` largest of each row, or all there are, and of equals the first."""
    order = probs.argsort(stable=True, dim=-1, descending=True)  # topk takes any of equals
    return _sum_to_one(probs.scatter(-1, order[:, k:], 0))


def rounded(probs: Tensor, decimals: int) -> Tensor:
    """Return rows rounded to ``decimals``; one of which nothing is left becomes uniform."""
    kept = probs.round(decimals=decimals)
    nothing = (kept == 0).all(-1, keepdim=True) & (probs != 0).any(-1, keepdim=True)
    return _sum_to_one(kept.masked_fill(nothing, 1))


def _sum_to_one(rows: Tensor) -> Tensor:
    sums = rows.sum(-1, keepdim=True)
    return rows / sums.masked_fill(sums == 0, 1)
