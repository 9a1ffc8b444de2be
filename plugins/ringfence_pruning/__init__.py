"""Pruning: the stolen model loses its smallest weights before it is judged."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from attrs import define, field, validators
from torch import nn

from ringfence import hookimpl
from ringfence.protocols import Oracle, Recovery
from ringfence.run import AttackRun
from ringfence_pruning.prune import prune


@define(eq=False)
class Pruning:
    """Sets the smallest weights of the substitute to zero, to be rid of a watermark.

    Uchida et al., ICMR 2017, as AMAO (section 5.6.3) and DAWN use it: no training afterwards. See
    docs/plugins/pruning.md.
    """

    paper = "Uchida, Nagai, Sakazawa, Satoh: Embedding Watermarks into DNNs, ICMR 2017"
    threat = "owns the substitute; a verifier that asks it for what it has memorised"

    rate: float = field(
        default=0.5,
        validator=[validators.ge(0), validators.le(1)],
        metadata={"help": "share of the weights that become zero"},
    )
    scope: Literal["layer", "global"] = field(
        default="layer", metadata={"help": "the smallest of each layer, or of all layers together"}
    )

    @hookimpl
    def make_recovery(self, run: AttackRun) -> Recovery:
        """Prune without knowledge of the run."""
        return Pruner(self)


@define(eq=False)
class Pruner:
    """The recovery at work."""

    options: Pruning
    _report: dict[str, float] = field(factory=dict, init=False)

    def wrap(self, oracle: Oracle) -> Oracle:
        """Return ``oracle``: no query is changed."""
        return oracle

    def finish(self, substitute: nn.Module) -> nn.Module:
        """Prune the substitute in place."""
        pruned, weights = prune(substitute, self.options.rate, self.options.scope)
        self._report = {"pruned": pruned, "weights": weights}
        return substitute

    def report(self) -> Mapping[str, float]:
        """Say how many of how many weights were set to zero."""
        return self._report
