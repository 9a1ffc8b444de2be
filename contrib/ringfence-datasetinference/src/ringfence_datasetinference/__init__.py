"""Dataset inference: evidence that needs no watermark.

Maini, Yaghini, Papernot, "Dataset Inference: Ownership Resolution in Machine Learning", ICLR 2021.
"""

from __future__ import annotations

from typing import Any

from attrs import define, field, validators
from torch import nn

from ringfence import hookimpl
from ringfence.errors import BadEvidence
from ringfence.protocols import Verifier
from ringfence.run import DefenseRun
from ringfence_datasetinference.judge import Judge
from ringfence_datasetinference.samples import draw
from ringfence_datasetinference.walk import Walk

_positive: Any = validators.gt(0)


@define(eq=False)
class DatasetInference:
    """Tells whether a suspect is surer of the victim's training images than of others."""

    paper = "Dataset Inference: Ownership Resolution in Machine Learning (Maini et al., ICLR 2021)"
    threat = "a suspect that answers queries, made from the victim's training data or answers"
    judges_theft = True  # no marks are needed: an empty ledger says nothing here

    directions: int = field(
        default=10, validator=_positive, metadata={"help": "walks of each noise, at most"}
    )
    steps: int = field(
        default=50, validator=_positive, metadata={"help": "of a walk, until the label changes"}
    )
    scale: float = field(
        default=1.0, validator=_positive, metadata={"help": "of a step; 2 for SVHN"}
    )
    samples: int = field(
        default=30, validator=validators.ge(2), metadata={"help": "images of each side, at most"}
    )
    learnt: int = field(
        default=500,
        validator=validators.ge(2),
        metadata={"help": "images of each side to learn from, at most"},
    )
    alpha: float = field(
        default=0.01,
        validator=[validators.gt(0), validators.lt(1)],
        metadata={"help": "p-value below which a model is stolen"},
    )

    @hookimpl
    def make_verifier(self, run: DefenseRun, victim: nn.Module) -> Verifier:
        """Draw the images; the victim is walked around when the first suspect is judged."""
        if len(run.train) == 0:
            raise BadEvidence(
                "datasetinference needs the victim's training images, and there are none here. "
                "Use it in a run: ringfence run --defense datasetinference."
            )
        walk = Walk(self.directions, self.steps, self.scale)
        return Judge(run, victim, walk, draw(run, self.samples, self.learnt), self.alpha)
