"""Choose a detector's parameters as the code does that Atli et al. compare with.

By the share of outliers that is caught where 95 percent of benign images pass; on half of the
validation images, so that the threshold can be found on the other half.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

from torch import Tensor

from ringfence.run import DefenseRun
from ringfence_boogeyman.gate import threshold_at
from ringfence_boogeyman.outliers import learnt, some

T = TypeVar("T")
TNR = 0.95
MOST = 500  #: outliers that are tuned on


def halves(run: DefenseRun) -> tuple[Tensor, Tensor]:
    """Return validation images to learn from, and those to find a threshold on."""
    return run.validation.images[::2], run.validation.images[1::2]


def known_outliers(run: DefenseRun) -> Tensor:
    """Return at most ``MOST`` of the outliers that may be learnt from."""
    return some(learnt(run.outliers), MOST, run.generator("tuning"))


def caught(benign: Tensor, outliers: Tensor) -> float:
    """Return the share of ``outliers`` caught at the threshold that 95 % of ``benign`` pass.

    Scores ``(N,)`` and ``(M,)``, higher is more suspicious.
    """
    return (outliers >= threshold_at(benign, TNR)).double().mean().item()


def best(candidates: Iterable[T], scores: Callable[[T], tuple[Tensor, Tensor]]) -> T:
    """Return the candidate that catches most; of equal ones the first.

    ``scores`` returns the scores of benign images and of outliers.
    """
    return max(candidates, key=lambda one: caught(*scores(one)))
