"""ODIN: how sure the victim is, at a high temperature, of an image moved towards its answer."""

from __future__ import annotations

from functools import partial
from itertools import product
from typing import Any

import torch.nn.functional as F
from attrs import define, field, validators
from pytorch_ood.detector import odin_preprocessing  # type: ignore[import-untyped]
from torch import Tensor, nn

from ringfence import hookimpl
from ringfence.confidence import max_softmax
from ringfence.protocols import Detector
from ringfence.run import DefenseRun
from ringfence_boogeyman import gate, tuning
from ringfence_boogeyman.blocks import in_blocks

#: of deep_Mahalanobis_detector; steps are of the pixels in [0, 1]
TEMPERATURES = (1.0, 10.0, 100.0, 1000.0)
STEPS = (0.0, 0.0005, 0.001, 0.0014, 0.002, 0.0024, 0.005, 0.01, 0.05, 0.1, 0.2)

_positive: Any = validators.gt(0)
_not_negative: Any = validators.ge(0)


def odin_score(victim: nn.Module, temperature: float, step: float, images: Tensor) -> Tensor:
    """Return minus ODIN's confidence in float images ``(N, C, H, W)``: ``(N,)`` float64.

    ``x - step * sign(grad_x CE(z(x) / T, argmax z))``, then the largest softmax of ``z / T``. The
    models' own normalisation lies between pixels and network: ``step`` is in units of pixels, and
    needs no division by deviations. What is moved may leave [0, 1], as in the authors' code.
    """
    moved = images
    if step:
        loss = partial(F.cross_entropy, reduction="sum")  # no mean over whoever else asks
        moved = odin_preprocessing(
            victim, images, criterion=loss, eps=step, temperature=temperature
        )
    return -max_softmax(victim(moved), temperature)


@define(eq=False)
class Odin:
    """Flags queries of low ODIN confidence, and suspects clients of many such.

    Liang, Li, Srikant, ICLR 2018; a baseline of Atli et al., Table 4. Two passes forward and one
    back through the victim for each query.
    """

    paper = "Liang, Li, Srikant: Enhancing the Reliability of OOD Image Detection, ICLR 2018"
    threat = "natural images that the victim is not sure of"

    temperature: float = field(
        default=1000.0, validator=_positive, metadata={"help": "T of the softmax"}
    )
    step: float = field(
        default=0.0014, validator=_not_negative, metadata={"help": "of each pixel, in [0, 1]"}
    )
    tuned: bool = field(
        default=False, metadata={"help": "choose both on outliers and half of validation"}
    )
    tnr: float = gate.tnr(0.95)
    min_queries: int = gate.min_queries()
    share: float | None = gate.share()
    tail: float = gate.tail()
    block: int = gate.block()

    @hookimpl
    def make_detector(self, run: DefenseRun, victim: nn.Module) -> Detector:
        """Choose temperature and step where asked to, and find the threshold."""
        temperature, step = self.temperature, self.step
        benign = run.validation.images
        if self.tuned:
            benign = tuning.halves(run)[1]
            temperature, step = run.cached("tuned", lambda: list(self._tuned(run, victim)))
        judge = partial(odin_score, victim, temperature, step)

        def score(images: Tensor, logits: Tensor) -> Tensor:
            return in_blocks(judge, images, self.block)

        scores = gate.scores(score, victim, benign)
        threshold = gate.threshold_at(scores, self.tnr)
        told = {"temperature": temperature, "step": step}
        return gate.make_gate(run, victim, score, scores, threshold, self, told)

    def _tuned(self, run: DefenseRun, victim: nn.Module) -> tuple[float, float]:
        sides = tuning.halves(run)[0], tuning.known_outliers(run)

        def scores(one: tuple[float, float]) -> tuple[Tensor, Tensor]:
            judge = partial(odin_score, victim, *one)
            benign, outliers = (in_blocks(judge, images, self.block) for images in sides)
            return benign, outliers

        return tuning.best(product(TEMPERATURES, STEPS), scores)
