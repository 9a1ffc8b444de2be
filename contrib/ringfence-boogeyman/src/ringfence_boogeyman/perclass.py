"""The metric ``perclass``: accuracy by class, over how often the pool is taken for that class.

Atli et al., Figure 1: where the transfer set holds few answers of a class, the substitute knows
little of it.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ringfence.inference import predict
from ringfence.result import Outcome


def perclass(done: Outcome) -> dict[str, Any]:
    """Return lists of one value per class, and how the histogram goes with the loss.

    ``pool``: images of the attacker's pool that the victim takes for the class; a random transfer
    set is a sample of them, and all of them where the budget is the pool. ``victim``,
    ``substitute``: accuracy on test images, null for a class without any. ``rank_correlation``:
    Spearman's, between a class's count and the share of the victim's accuracy that was stolen;
    null where either never varies. Empty where another oracle answered: nobody here has the victim.
    """
    if done.guard is None:
        return {}
    victim, run = done.guard.victim.model, done.run
    counts = predict(victim, run.pool).bincount(minlength=run.num_classes).cpu()
    accuracies = [_accuracies(done, model) for model in (victim, done.theft.substitute)]
    return {
        "pool": counts.tolist(),
        "victim": _told(accuracies[0]),
        "substitute": _told(accuracies[1]),
        "rank_correlation": _correlation(counts.double(), accuracies[1] / accuracies[0]),
    }


def _accuracies(done: Outcome, model: nn.Module) -> Tensor:
    """Return the accuracy of each class ``(K,)``, NaN for a class without test images."""
    labels, size = done.run.test.labels, done.run.num_classes
    right = labels[predict(model, done.run.test.images) == labels]
    return right.bincount(minlength=size).cpu() / labels.bincount(minlength=size).cpu()


def _told(values: Tensor) -> list[float | None]:
    return [value if value == value else None for value in values.tolist()]


def _correlation(counts: Tensor, stolen: Tensor) -> float | None:
    from scipy.stats import rankdata

    known = stolen.isfinite()
    ranks = [torch.from_numpy(rankdata(side[known])) for side in (counts, stolen)]
    if any(len(rank) < 2 or rank.std() == 0 for rank in ranks):
        return None
    return torch.corrcoef(torch.stack(ranks))[0, 1].item()
