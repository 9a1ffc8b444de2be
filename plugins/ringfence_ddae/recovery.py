"""The recovery at work: prepare with a part of the budget, then restore what passes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from attrs import define, field
from torch import Tensor

from ringfence.answers import refused
from ringfence.protocols import Oracle
from ringfence.randomness import seeded
from ringfence.run import AttackRun
from ringfence.wrapped import Wrapped
from ringfence_ddae.remedies import Remedy

Prepare = Callable[[Oracle, dict[str, float]], Remedy]


@define(eq=False)
class Recoverer:
    """Applies to every answer what ``prepare`` makes of a few, and of the attacker's own models.

    ``prepare`` spends queries of the oracle's, and writes down what shall be reported.
    """

    run: AttackRun
    prepare: Prepare
    _report: dict[str, float] = field(factory=dict, init=False)

    def wrap(self, oracle: Oracle) -> Oracle:
        """Prepare, and return an oracle that restores."""
        before = oracle.remaining
        with seeded(self.run.streams, "preparation"):
            remedy = self.prepare(oracle, self._report)
        self._report |= {"discarded": before - oracle.remaining, "altered": 0, "rejected": 0}
        return Wrapped(oracle, partial(self._ask, oracle, remedy))

    def report(self) -> Mapping[str, float]:
        """Say what was bought, how the rehearsals went, and what was done to the answers."""
        return self._report

    def _ask(
        self, oracle: Oracle, remedy: Remedy, images: Tensor, clients: Sequence[str] | None = None
    ) -> Tensor:
        answers = oracle.query(images, clients)
        told = (~refused(answers)).nonzero().flatten()
        if not len(told):
            return answers
        restored = answers.index_copy(0, told, remedy(images[told], answers[told]))
        self._report["altered"] += int((restored != answers).any(-1).sum())
        self._report["rejected"] += int(refused(restored).sum()) - (len(answers) - len(told))
        return restored
