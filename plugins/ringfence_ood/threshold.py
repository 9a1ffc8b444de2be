"""The threshold of a victim: given, at a benign rate, or the best against a rehearsed attack."""

from __future__ import annotations

from attrs import frozen
from torch import Tensor, nn

from ringfence.calibration import Cut, best_cut, cut_at_rate, malicious_images
from ringfence.inference import logits
from ringfence.run import DefenseRun
from ringfence.unsure import Confidence, flag_rates


@frozen
class Rehearsed:
    """An attack to calibrate on."""

    attack: str
    budget: int
    pool: str
    count: int


def find(
    run: DefenseRun,
    victim: nn.Module,
    confidence: Confidence,
    threshold: float | None,
    rate: float | None,
    rehearsed: Rehearsed,
) -> dict[str, float]:
    """Return the threshold and the share of benign queries that it flags, now and at worst.

    Benign queries are the validation images; AMAO takes test images.
    """
    benign = confidence(logits(victim, run.validation.images))
    told: dict[str, float] = {}
    if threshold is None and rate is not None:
        threshold = cut_at_rate(benign, rate)
    elif threshold is None:
        cut = _against(run, victim, confidence, benign, rehearsed)
        threshold, told = cut.threshold, {"calibration_accuracy": cut.accuracy}
    return {"threshold": threshold, **told, **flag_rates(benign, threshold)}


def _against(
    run: DefenseRun,
    victim: nn.Module,
    confidence: Confidence,
    benign: Tensor,
    rehearsed: Rehearsed,
) -> Cut:
    images = malicious_images(
        run, victim, rehearsed.attack, rehearsed.budget, rehearsed.pool, rehearsed.count
    )
    return best_cut(benign, confidence(logits(victim, images)))
