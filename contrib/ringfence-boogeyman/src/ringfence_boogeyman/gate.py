"""A filter before the victim: a score of each query, a threshold, a count of flags per client.

Atli et al., section 4.1. What the four detectors of this package share: they differ in the score.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from attrs import field, frozen, validators
from torch import Tensor, nn

from ringfence.calibration import cut_at_rate
from ringfence.flags import MIN_QUERIES, BinomialNoise, FixedShare, Limits, Suspicion
from ringfence.images import as_float
from ringfence.inference import logits
from ringfence.run import DefenseRun
from ringfence.types import Queries, Verdict
from ringfence.unsure import flag_rates
from ringfence_boogeyman.outliers import held_out, outliers_of

#: float images ``(N, C, H, W)`` and the victim's logits ``(N, K)`` -> ``(N,)`` float64, higher is
#: more suspicious
Score = Callable[[Tensor, Tensor], Tensor]

_share: Any = validators.and_(validators.gt(0), validators.lt(1))


class Patience(Protocol):
    """The options that say when a client with flags is suspected."""

    min_queries: int
    share: float | None
    tail: float


def min_queries() -> Any:
    """Return the field of that name."""
    return field(
        default=MIN_QUERIES,
        validator=validators.gt(0),
        metadata={"help": "clients with fewer are not suspected"},
    )


def share() -> Any:
    """Return the field of that name."""
    return field(
        default=None,
        validator=validators.optional(_share),
        metadata={"help": "suspect above this share of flags; none: above the benign noise"},
    )


def tail() -> Any:
    """Return the field of that name."""
    return field(
        default=1e-9,  # a client is looked at after each query: this leaves room for a million
        validator=_share,
        metadata={"help": "chance at one look that the noise of a benign client exceeds it"},
    )


def tnr(default: float | None) -> Any:
    """Return the field of that name: the share of validation images that are to pass."""
    return field(
        default=default,
        validator=validators.optional(_share),
        metadata={"help": "share of benign queries that are to pass, on validation images"},
    )


def block() -> Any:
    """Return the field of that name."""
    return field(
        default=64,
        validator=validators.gt(0),
        metadata={"help": "images at a time in a network, fewer are filled up"},
    )


@frozen(eq=False)
class Gate:
    """Flags queries whose score is at least ``threshold``."""

    score: Score
    threshold: float
    suspicion: Suspicion
    found: Mapping[str, float]  #: what fitting and calibration say

    def inspect(self, queries: Queries, logits: Tensor) -> Verdict:
        """Judge each query by itself, and its client by all of them."""
        score = self.score(queries.images, logits)
        flagged = score >= self.threshold
        plugin = self.suspicion.store.plugin
        return Verdict(plugin, score, flagged, self.suspicion.judge(queries, flagged))

    def report(self) -> Mapping[str, float]:
        """Say what was fitted, from which share of flags on it suspects, and whom it did."""
        return {**self.found, **self.suspicion.report()}


def scores(score: Score, victim: nn.Module, images: Tensor) -> Tensor:
    """Return the score ``(N,)`` of uint8 or float ``images``, as a gate gives it; N > 0."""
    return score(as_float(images), logits(victim, images))


def threshold_at(benign: Tensor, tnr: float) -> float:
    """Return the lowest threshold at which the share ``tnr`` of ``benign`` scores passes."""
    return -cut_at_rate(-benign, 1 - tnr)


def make_gate(
    run: DefenseRun,
    victim: nn.Module,
    score: Score,
    benign: Tensor,
    threshold: float,
    patience: Patience,
    told: Mapping[str, float],
) -> Gate:
    """Return the detector; ``benign``: scores of images that fitting did not see."""
    rates = flag_rates(-benign, -threshold)
    found = {**told, "threshold": threshold, **rates}
    outliers = outliers_of(run)
    if outliers is not None and len(unseen := held_out(outliers)):
        caught = scores(score, victim, unseen) >= threshold
        found["held_out_tpr"] = caught.double().mean().item()
    limits: Limits = (
        BinomialNoise(rates["highest_rate"], patience.tail)
        if patience.share is None
        else FixedShare(patience.share)
    )
    suspicion = Suspicion(run.store, limits, patience.min_queries)
    return Gate(score, threshold, suspicion, found)
