"""OOD detection: queries of which the victim is not sure enough."""

from __future__ import annotations

from typing import Any, Literal

from attrs import define, field, validators
from torch import nn

from ringfence import hookimpl
from ringfence.calibration import installed_attack, installed_pool, rehearsal_key
from ringfence.confidence import max_softmax, negative_energy
from ringfence.exposure import ExposedTrainer
from ringfence.flags import LARGEST_WINDOW, MIN_QUERIES, BinomialNoise, FixedShare, Suspicion
from ringfence.protocols import Detector, Trainer
from ringfence.run import DefenseRun
from ringfence.unsure import Confidence, Unsure
from ringfence_ood.threshold import Rehearsed, find

CONFIDENCES: dict[str, Confidence] = {"msp": max_softmax, "energy": negative_energy}

_positive: Any = validators.gt(0)
_share: Any = validators.and_(validators.gt(0), validators.lt(1))


@define(eq=False)
class Ood:
    """Flags queries of low confidence, and suspects clients with too many of them.

    Hendrycks, Gimpel, ICLR 2017 (maximum softmax probability), or Liu et al., NeurIPS 2020
    (energy); as AMAO, section 5.3, compares with it. See docs/plugins/ood.md.
    """

    paper = "Hendrycks, Gimpel: A Baseline for Detecting Misclassified and OOD Examples, ICLR 2017"
    threat = "clients who send many images that the victim is unsure of; not natural ones"

    score: Literal["msp", "energy"] = field(
        default="msp", metadata={"help": "maximum softmax probability, or negative energy"}
    )
    threshold: float | None = field(
        default=None, metadata={"help": "flag a score up to it; none: calibrated"}
    )
    false_positives: float | None = field(
        default=None,
        validator=validators.optional(validators.and_(validators.ge(0), validators.lt(1))),
        metadata={"help": "calibrate to this share of flagged benign queries, rehearse nothing"},
    )
    calibrate_on: str = field(
        default="knockoffnet",
        validator=installed_attack,
        metadata={"help": "attack that is rehearsed to calibrate"},
    )
    pool: str = field(
        default="outliers",
        validator=installed_pool,
        metadata={"help": "its images: outliers, train, validation, or a data set"},
    )
    rehearsal_budget: int = field(
        default=500, validator=_positive, metadata={"help": "its queries, seeds included"}
    )
    malicious: int = field(
        default=100, validator=_positive, metadata={"help": "queries of it that are learnt from"}
    )
    suspicion: Literal["cumulative", "windowed"] = field(
        default="cumulative", metadata={"help": "judge all queries of a client, or its last ones"}
    )
    window: int = field(
        default=100,
        validator=[_positive, validators.le(LARGEST_WINDOW)],
        metadata={"help": "how many last ones"},
    )
    min_queries: int = field(
        default=MIN_QUERIES, validator=_positive, metadata={"help": "fewer are not judged"}
    )
    share: float | None = field(
        default=None,
        validator=validators.optional(_share),
        metadata={"help": "suspect above it; none: above the benign share and its noise"},
    )
    tail: float = field(
        default=1e-4,
        validator=_share,
        metadata={"help": "chance at one look that the noise of a benign client exceeds it"},
    )
    exposure: float = field(
        default=0.0,
        validator=validators.ge(0),
        metadata={"help": "weight of outlier exposure in the victim's training; 0: trains nothing"},
    )

    def __attrs_post_init__(self) -> None:
        """Refuse options that do not go together."""
        if self.threshold is not None and self.score == "msp" and not 0 < self.threshold < 1:
            raise ValueError(f"'threshold' of msp must be between 0 and 1: {self.threshold}")
        if self.suspicion == "windowed" and self.window < self.min_queries:
            raise ValueError(
                f"'window' must be at least min_queries, {self.min_queries}: {self.window}"
            )

    @hookimpl
    def make_trainer(self, run: DefenseRun) -> Trainer | None:
        """Train with outlier exposure if it has a weight."""
        return ExposedTrainer.of(run, self.exposure) if self.exposure else None

    @hookimpl
    def make_detector(self, run: DefenseRun, victim: nn.Module) -> Detector:
        """Calibrate on the victim what was not given."""
        confidence = CONFIDENCES[self.score]
        rehearsed = Rehearsed(self.calibrate_on, self.rehearsal_budget, self.pool, self.malicious)
        given = self.threshold, self.false_positives
        key = "threshold" if given != (None, None) else rehearsal_key(self.calibrate_on)
        found = run.cached(key, lambda: find(run, victim, confidence, *given, rehearsed))
        limits = (
            BinomialNoise(found["highest_rate"], self.tail)
            if self.share is None
            else FixedShare(self.share)
        )
        window = self.window if self.suspicion == "windowed" else None
        suspicion = Suspicion(run.store, limits, self.min_queries, window)
        return Unsure(confidence, found["threshold"], suspicion, found)
