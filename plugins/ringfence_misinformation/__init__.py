"""Adaptive Misinformation: wrong answers to queries of which the victim is not sure."""

from __future__ import annotations

from typing import Any

from attrs import define, field, validators
from torch import nn

from ringfence import hookimpl
from ringfence.exposure import ExposedTrainer
from ringfence.inference import logits
from ringfence.protocols import Responder, Trainer
from ringfence.run import DefenseRun
from ringfence_misinformation.blocks import in_blocks
from ringfence_misinformation.calibration import judge, largest_tau
from ringfence_misinformation.reverse import train
from ringfence_misinformation.switch import Switch

NU = 1000.0  #: of the paper and of ModelGuard; the released code has 10,000
LARGEST = 1e6

_names: Any = validators.deep_iterable(validators.min_len(1))
_positive: Any = validators.gt(0)
_share: Any = [validators.ge(0), validators.lt(1)]


@define(eq=False)
class Misinformation:
    """Exposes the victim to outliers, and blends in a net that has learnt to be wrong.

    Kariyappa, Qureshi, "Defending Against Model Stealing Attacks with Adaptive Misinformation",
    CVPR 2020. See docs/plugins/misinformation.md.
    """

    paper = "Kariyappa, Qureshi: Adaptive Misinformation, CVPR 2020 (arXiv 1911.07100)"
    threat = "any client who sends what the victim is unsure of; not images like its own"

    exposure: float = field(
        default=1.0,
        validator=validators.ge(0),
        metadata={"help": "weight of outlier exposure in the victim's training; 0: trains nothing"},
    )
    nu: float = field(
        default=NU,
        validator=[_positive, validators.le(LARGEST)],
        metadata={"help": "steepness of the switch"},
    )
    tau: float | None = field(
        default=None,
        validator=validators.optional(validators.and_(validators.ge(0), validators.le(1))),
        metadata={"help": "where the switch is half way; none: as high as max_loss allows"},
    )
    max_loss: float = field(
        default=0.005,
        validator=_share,
        metadata={"help": "share of the validation answers that may turn wrong when tau is chosen"},
    )
    adaptive: bool = field(
        default=True, metadata={"help": "blend by the victim's confidence, or all alike by tau"}
    )
    on_outliers: bool = field(
        default=True,
        metadata={"help": "train the misinformation net on the outliers, too"},
    )
    block: int = field(
        default=16,
        validator=_positive,
        metadata={"help": "images at a time in the misinformation net, fewer are filled up"},
    )

    driven_by: tuple[str, ...] = field(
        default=(),
        validator=_names,
        metadata={"help": "detectors whose suspects alone are misinformed; empty: everybody"},
    )

    @hookimpl
    def make_trainer(self, run: DefenseRun) -> Trainer | None:
        """Train with outlier exposure if it has a weight."""
        return ExposedTrainer.of(run, self.exposure) if self.exposure else None

    @hookimpl
    def make_responder(self, run: DefenseRun, victim: nn.Module) -> Responder:
        """Train the misinformation net, and find tau where none was given."""
        net = run.new_model()
        net.load_state_dict(
            run.cached("misinformation", lambda: train(run, victim, outliers=self.on_outliers))
        )
        net.eval()
        nu = self.nu if self.adaptive else None
        images, labels = run.validation.images, run.validation.labels
        honest = logits(victim, images).double().softmax(-1)
        wrong = in_blocks(net, images, self.block).double().softmax(-1)
        tau = self.tau
        if tau is None:
            tau = largest_tau(honest, wrong, labels, nu, self.max_loss)
        judged = judge(honest, wrong, labels, nu, tau)
        return Switch(net, nu, tau, self.block, self.driven_by, judged)
