"""MSP: how sure the victim is of its answer."""

from __future__ import annotations

from attrs import define
from torch import Tensor, nn

from ringfence import hookimpl
from ringfence.confidence import max_softmax
from ringfence.protocols import Detector
from ringfence.run import DefenseRun
from ringfence_boogeyman import gate


@define(eq=False)
class Msp:
    """Flags queries of which the victim is not sure, and suspects clients of many such.

    Hendrycks, Gimpel, ICLR 2017: the baseline of Atli et al., Table 4, at a fixed share of benign
    queries that pass. The core's confidence and threshold.
    """

    paper = "Hendrycks, Gimpel: A Baseline for Detecting Misclassified and OOD Examples, ICLR 2017"
    threat = "natural images that the victim is not sure of"

    tnr: float = gate.tnr(0.95)
    min_queries: int = gate.min_queries()
    share: float | None = gate.share()
    tail: float = gate.tail()

    @hookimpl
    def make_detector(self, run: DefenseRun, victim: nn.Module) -> Detector:
        """Find the threshold on validation images."""

        def score(images: Tensor, logits: Tensor) -> Tensor:
            return -max_softmax(logits)

        benign = gate.scores(score, victim, run.validation.images)
        threshold = gate.threshold_at(benign, self.tnr)
        return gate.make_gate(run, victim, score, benign, threshold, self, {})
