"""The metric ``operating``: detectors at their own threshold, and at equal shares of benign loss.

Atli et al., Table 4: TPR, outliers caught, at one's own TNR, at that of the one-and-a-half
classifier, and at 95 percent; on an outlier source seen in training and on one never seen.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from ringfence.result import Outcome
from ringfence_boogeyman.gate import Gate, scores, threshold_at
from ringfence_boogeyman.outliers import held_out

USUAL = 0.95
OURS = "onehalf"

Figures = dict[str, float | None]


def operating(done: Outcome) -> dict[str, Any]:
    """Return per detector its ``tnr`` on benign queries, and TPRs of ``unseen`` and ``seen``.

    ``unseen``: the attacker's queries, whatever its pool is. ``seen``: the tenth of the outliers
    that this package's detectors hold out; null for others'. Each has ``own``, ``at_onehalf`` and
    ``at_95``: the TPR at the detector's own threshold, and where the thresholds that benign
    queries of this run give let as many of them pass as ``onehalf`` does, and 95 percent.
    """
    attacker, benign = done.attacker, done.benign
    found: dict[str, Any] = {}
    tnrs = {name: _tnr(done, name, benign) for name in done.record.detectors}
    for name, tnr in tnrs.items():
        verdicts = done.record.verdicts(name)
        assert verdicts is not None
        score, flagged, _ = verdicts
        places = (score[benign], tnrs.get(OURS))
        seen, caught = _seen(done, name)
        found[name] = {
            "tnr": tnr,
            "unseen": _figures(score[attacker], flagged[attacker], *places),
            "seen": None if seen is None or caught is None else _figures(seen, caught, *places),
        }
    return found


def _tnr(done: Outcome, name: str, benign: Tensor) -> float | None:
    verdicts = done.record.verdicts(name)
    return None if verdicts is None else _mean(~verdicts[1][benign])


def _seen(done: Outcome, name: str) -> tuple[Tensor | None, Tensor | None]:
    """Return scores and flags of the held-out outliers, where the detector is one of ours."""
    detector = done.guard.service.detectors.get(name) if done.guard else None
    outliers = done.run.outliers
    if not (isinstance(detector, Gate) and done.guard and outliers is not None):
        return None, None
    images = held_out(outliers)
    if not len(images):
        return None, None
    score = scores(detector.score, done.guard.victim.model, images).cpu()
    return score, score >= detector.threshold


def _figures(score: Tensor, flagged: Tensor, benign: Tensor, ours: float | None) -> Figures:
    return {
        "own": _mean(flagged),
        "at_onehalf": None if ours is None else _at(score, benign, ours),
        "at_95": _at(score, benign, USUAL),
    }


def _at(score: Tensor, benign: Tensor, tnr: float) -> float | None:
    """Return the TPR at the lowest threshold that lets the share ``tnr`` of ``benign`` pass."""
    if not len(benign):
        return None
    return _mean(score >= threshold_at(benign, tnr))


def _mean(hits: Tensor) -> float | None:
    return hits.double().mean().item() if len(hits) else None
