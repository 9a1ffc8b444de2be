"""KnockoffNet: buy answers for images of another distribution, and imitate them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from attrs import define, field, validators
from torch import Tensor, nn

from ringfence import hookimpl
from ringfence.images import as_float
from ringfence.progress import track
from ringfence.protocols import Attack, Oracle
from ringfence.recipe import Recipe
from ringfence.run import AttackRun
from ringfence.training import fit
from ringfence_knockoffnet.sampling import uniform

_positive: Any = validators.gt(0)


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
    lr: float = field(default=0.01, validator=_positive, metadata={"help": "of SGD"})
    momentum: float = field(
        default=0.5, validator=[validators.ge(0), validators.lt(1)], metadata={"help": "of SGD"}
    )
    weight_decay: float = field(default=0.0, validator=validators.ge(0), metadata={"help": "L2"})
    step_epochs: int = field(
        default=60, validator=_positive, metadata={"help": "epochs until lr is divided by ten"}
    )
    query_batch: int = field(default=256, validator=_positive, metadata={"help": "images a query"})

    @hookimpl
    def make_attack(self, run: AttackRun) -> Attack:
        """Attack with the attacker's pool and streams."""
        return Knockoff(run, self)

    @property
    def recipe(self) -> Recipe:
        """How the substitute is trained."""
        return Recipe(
            epochs=self.epochs,
            batch_size=self.batch_size,
            optimizer="sgd",
            lr=self.lr,
            momentum=self.momentum,
            weight_decay=self.weight_decay,
            schedule="step",
            step_epochs=self.step_epochs,
        )


@define(eq=False)
class Knockoff:
    """The attack at work."""

    run: AttackRun
    options: KnockoffNet
    _rows: Tensor = field(factory=lambda: torch.empty(0), init=False)

    def extract(self, oracle: Oracle) -> nn.Module:
        """Spend what is left of the budget on the pool; return the substitute."""
        run = self.run
        self._rows = uniform(len(run.pool), oracle.remaining, run.generator("pool"))
        answers = self._answers(oracle)
        return fit(
            run.new_model(),
            run.pool[self._rows],
            answers,
            self.options.recipe,
            generator=run.generator("training"),
            name="substitute",
        )

    def report(self) -> Mapping[str, float]:
        """Say how large the transfer set and the pool were."""
        distinct = len(self._rows.unique())
        return {
            "transfer_set": len(self._rows),
            "distinct": distinct,
            "pool": len(self.run.pool),
            "epochs": self.options.epochs,
        }

    def _answers(self, oracle: Oracle) -> Tensor:
        """Return the answers ``(N, K)`` to the chosen images, in their order."""
        answers = []
        with track("queries", len(self._rows)) as advance:
            for rows in self._rows.split(self.options.query_batch):
                answers.append(oracle.query(as_float(self.run.pool[rows])))
                advance(len(rows))
        return torch.cat(answers)
