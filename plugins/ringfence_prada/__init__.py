"""PRADA: clients whose queries keep unnatural distances from one another."""

from __future__ import annotations

from typing import Any, Literal

from attrs import define, evolve, field, validators
from torch import nn

from ringfence import hookimpl
from ringfence.protocols import Detector
from ringfence.run import DefenseRun
from ringfence_prada.calibration import lowest
from ringfence_prada.detector import Normality
from ringfence_prada.normality import RULES, Rule

#: the released demo's threshold, where the validation set is too small for a single test
FALLBACK = 0.9

_share: Any = validators.optional(validators.and_(validators.gt(0), validators.le(1)))
_some: Any = validators.optional(validators.gt(0))


@define(eq=False)
class Prada:
    """Suspects clients whose distances between queries are not normally distributed.

    Juuti, Szyller, Marchal, Asokan, "PRADA: Protecting Against DNN Model Stealing Attacks", Euro
    S&P 2019, Algorithm 1; ``rule=release`` is what the authors' code does instead. See
    docs/plugins/prada.md.
    """

    paper = "Juuti, Szyller, Marchal, Asokan: PRADA, Euro S&P 2019 (arXiv 1805.02628)"
    threat = "one account whose queries are made from one another; not collusion, not natural ones"

    rule: Literal["paper", "release"] = field(
        default="paper", metadata={"help": "Algorithm 1, or what the released code does"}
    )
    delta: float | None = field(
        default=None,
        validator=_share,
        metadata={"help": "alarm if W is below; none: the largest with no alarm on benign streams"},
    )
    every: int | None = field(
        default=None, validator=_some, metadata={"help": "queries a test; none: 1, release 10"}
    )
    latch: bool | None = field(
        default=None,
        metadata={"help": "once suspected, always suspected; none: paper yes, release no"},
    )
    keep: int = field(
        default=10_000,
        validator=validators.gt(0),
        metadata={"help": "images of a client and class that are kept at most"},
    )
    streams: int = field(
        default=50, validator=validators.gt(0), metadata={"help": "benign streams that give delta"}
    )
    length: int = field(
        default=500,
        validator=validators.gt(100),
        metadata={"help": "images of a benign stream, at most as many as validation has"},
    )

    @hookimpl
    def make_detector(self, run: DefenseRun, victim: nn.Module) -> Detector:
        """Watch with the threshold given, or with one that benign streams just pass."""
        watch = Normality(run.store, self._rule(), self.delta or FALLBACK, self.keep)
        if self.delta is not None:
            return watch
        found = run.cached("lowest", lambda: lowest(watch, run, victim, self.streams, self.length))
        tested = int(found["tested"])
        return evolve(watch, delta=found["lowest"], calibrated=tested) if tested else watch

    def _rule(self) -> Rule:
        rule = RULES[self.rule]
        latch = rule.latch if self.latch is None else self.latch
        return Rule(self.every or rule.every, latch, rule.pool)
