"""Deceptive Perturbation: answers bent by a reversed sigmoid."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from attrs import define, field, validators
from torch import Tensor

from ringfence import hookimpl
from ringfence.protocols import Responder
from ringfence.run import DefenseRun
from ringfence.types import Queries, Verdict
from ringfence_deceptive.reverse_sigmoid import bend

BETA = 1.0  #: the default of both public implementations
LARGEST = 1000.0  #: of either; the perturbation stays finite, and long before is a step function
GAMMA = 0.1  #: where no published value is known for the data set
#: gamma by data set, as the authors of the recovery attack D-DAE chose it for their opponent
GAMMAS = {"mnist": 0.2, "fashionmnist": 0.4, "cifar10": 0.1, "gtsrb": 0.1, "imagenette": 0.2}

_slope: Any = validators.optional(validators.and_(validators.gt(0), validators.le(LARGEST)))


@define(eq=False)
class Deceptive:
    """Bends every soft answer towards the uniform one; the top-1 class stays.

    Lee, Edwards, Molloy, Su, "Defending Against Neural Network Model Stealing Attacks Using
    Deceptive Perturbations", SPW 2019: the reverse sigmoid. Hard labels are not affected; see
    docs/plugins/deceptive.md.
    """

    paper = "Lee, Edwards, Molloy, Su: Deceptive Perturbations, SPW 2019 (arXiv 1806.00054)"
    threat = "any client that uses the probabilities; does nothing against hard labels"

    beta: float = field(
        default=BETA,
        validator=[validators.ge(0), validators.le(LARGEST)],
        metadata={"help": "size of the perturbation; 0: none"},
    )
    gamma: float | None = field(
        default=None,
        validator=_slope,
        metadata={"help": "slope of the sigmoid; none: published for the data set, else 0.1"},
    )
    repair: Literal["shrink", "none"] = field(
        default="shrink",
        metadata={"help": "shrink beta where the top-1 class would change, or let it change"},
    )

    @hookimpl
    def make_responder(self, run: DefenseRun) -> Responder:
        """Bend with the data set's gamma where none was given."""
        gamma = GAMMAS.get(run.dataset, GAMMA) if self.gamma is None else self.gamma
        return Bender(self.beta, gamma, self.repair == "shrink")


@define(eq=False)
class Bender:
    """The responder at work. It remembers nothing."""

    beta: float
    gamma: float
    repair: bool

    def respond(self, queries: Queries, probs: Tensor, verdicts: Sequence[Verdict]) -> Tensor:
        """Return bent soft labels ``(N, K)``, the same for everybody and every time."""
        return bend(probs, self.beta, self.gamma, repair=self.repair)

    def report(self) -> Mapping[str, float]:
        """Say which parameters were used."""
        return {"beta": self.beta, "gamma": self.gamma}
