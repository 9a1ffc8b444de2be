"""The attack at work: choose images, buy answers, fit a fresh substitute to them.

Every image is chosen before the first answer comes, so that no answer guides a choice.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from attrs import define, field
from torch import Tensor, nn

from ringfence.answers import answer_format
from ringfence.images import as_float
from ringfence.inference import predict
from ringfence.progress import track
from ringfence.protocols import Oracle
from ringfence.recipe import Recipe
from ringfence.run import AttackRun
from ringfence.training import fit
from ringfence_knockoffnet.sampling import last_images, uniform


@define(eq=False)
class Knockoff:
    """Fits a substitute to the answers to random images."""

    run: AttackRun
    recipe: Recipe
    query_batch: int
    held_out: float
    argmax: bool
    _report: dict[str, float] = field(factory=dict, init=False)

    def extract(self, oracle: Oracle) -> nn.Module:
        """Spend what is left of the budget on the pool; return the substitute."""
        rows = uniform(len(self.run.pool), oracle.remaining, self.run.generator("pool"))
        answers = self._ask(oracle, rows)
        if self.argmax:
            answers = answer_format("hard")(answers)
        held = last_images(rows, round(self.held_out * len(rows)))
        substitute = self._fit(rows[~held], answers[~held])
        self._report = {
            "transfer_set": len(rows),
            "distinct": len(rows.unique()),
            "pool": len(self.run.pool),
            "epochs": self.recipe.epochs,
        }
        if held.any():
            agree = predict(substitute, self.run.pool[rows[held]]) == answers[held].argmax(-1)
            self._report["held_out"] = len(agree)
            self._report["held_out_fidelity"] = agree.double().mean().item()
        return substitute

    def report(self) -> Mapping[str, float]:
        """Say how large the transfer set and the pool were, and how faithful the substitute is."""
        return self._report

    def _ask(self, oracle: Oracle, rows: Tensor) -> Tensor:
        """Return the answers ``(N, K)`` to ``rows`` of the pool, in their order."""
        answers = []
        with track("queries", len(rows)) as advance:
            for some in rows.split(self.query_batch):
                answers.append(oracle.query(as_float(self.run.pool[some])))
                advance(len(some))
        return torch.cat(answers)

    def _fit(self, rows: Tensor, answers: Tensor) -> nn.Module:
        """Return a new substitute, fitted to ``answers`` by soft cross-entropy."""
        return fit(
            self.run.new_model(),
            self.run.pool[rows],
            answers,
            self.recipe,
            generator=self.run.generator("training"),
            name="substitute",
        )
