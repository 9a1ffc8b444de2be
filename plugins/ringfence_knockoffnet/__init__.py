"""KnockoffNet: buy answers for images of another distribution, and imitate them."""

from __future__ import annotations

from typing import Any, Literal

from attrs import define, field, validators

from ringfence import hookimpl
from ringfence.protocols import Attack
from ringfence.recipe import Recipe
from ringfence.run import AttackRun
from ringfence_knockoffnet.attack import Knockoff

_positive: Any = validators.gt(0)
_share: Any = [validators.ge(0), validators.lt(1)]


@define(eq=False)
class KnockoffNet:
    """Sends random images of the pool and fits the substitute to the answers.

    Orekondy, Schiele, Fritz, "Knockoff Nets", CVPR 2019, section 4.1 (random strategy). The
    hyper-parameters are those of the authors' released code, but for 50 epochs as in AMAO,
    section 5.1.2; see docs/plugins/knockoffnet.md.
    """

    paper = "Orekondy, Schiele, Fritz: Knockoff Nets, CVPR 2019"
    threat = "black box; has unlabelled images of another distribution; soft or hard labels"
    sends = "pool"  #: which of a data set's budgets is meant

    epochs: int = field(default=50, validator=_positive, metadata={"help": "of the substitute"})
    batch_size: int = field(default=64, validator=_positive, metadata={"help": "images a step"})
    optimizer: Literal["sgd", "adam"] = field(
        default="sgd", metadata={"help": "adam needs a smaller lr, such as 0.001"}
    )
    lr: float = field(default=0.01, validator=_positive, metadata={"help": "learning rate"})
    momentum: float = field(default=0.5, validator=_share, metadata={"help": "of sgd"})
    weight_decay: float = field(default=0.0, validator=validators.ge(0), metadata={"help": "L2"})
    schedule: Literal["step", "cosine"] = field(
        default="step", metadata={"help": "step: a tenth after step_epochs; cosine: down to zero"}
    )
    step_epochs: int = field(
        default=60, validator=_positive, metadata={"help": "epochs until lr is divided by ten"}
    )
    argmax: bool = field(
        default=False, metadata={"help": "learn the top-1 class of each answer only"}
    )
    query_batch: int = field(default=256, validator=_positive, metadata={"help": "images a query"})
    held_out: float = field(
        default=0.0,
        validator=_share,
        metadata={"help": "share of the answers not learnt but used to report fidelity"},
    )

    @hookimpl
    def make_attack(self, run: AttackRun) -> Attack:
        """Attack with the attacker's pool and streams."""
        return Knockoff(run, self.recipe, self.query_batch, self.held_out, self.argmax)

    @property
    def recipe(self) -> Recipe:
        """How the substitute is trained; nothing is augmented."""
        return Recipe(
            epochs=self.epochs,
            batch_size=self.batch_size,
            optimizer=self.optimizer,
            lr=self.lr,
            momentum=self.momentum,
            weight_decay=self.weight_decay,
            schedule=self.schedule,
            step_epochs=self.step_epochs,
        )
