"""The attack at work: choose images, buy answers, fit a fresh substitute to them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Protocol

import torch
from attrs import define, field
from torch import Tensor, nn

from ringfence.answers import answer_format, refused
from ringfence.images import as_float
from ringfence.inference import predict
from ringfence.progress import track
from ringfence.protocols import Oracle
from ringfence.recipe import Recipe
from ringfence.run import AttackRun
from ringfence.training import fit
from ringfence_knockoffnet.sampling import last_images

log = logging.getLogger(__name__)


class Strategy(Protocol):
    """Which images are sent next."""

    def choose(self, count: int) -> Tensor:
        """Return the next rows of the pool ``(n,)``, at least one, at most ``count``."""
        ...

    def learn(self, rows: Tensor, answers: Tensor) -> None:
        """Take notice of the answers to the rows chosen last; not called after the last."""
        ...

    def report(self) -> Mapping[str, float]:
        """Return what the result file shall hold."""
        ...


@define(eq=False)
class Knockoff:
    """Fits a substitute to the answers to images of the pool."""

    run: AttackRun
    strategy: Callable[[int], Strategy]  #: makes the strategy for so many queries
    recipe: Recipe
    query_batch: int
    held_out: float
    argmax: bool
    repeat: bool
    _report: dict[str, float] = field(factory=dict, init=False)

    def extract(self, oracle: Oracle) -> nn.Module:
        """Spend what is left of the budget on the pool; return the substitute."""
        count = self._count(oracle.remaining)
        strategy = self.strategy(count)
        rows, answers = self._ask(oracle, strategy, count)
        silent = refused(answers)
        rows, answers = rows[~silent], answers[~silent]
        if self.argmax:
            answers = answer_format("hard")(answers)
        held = last_images(rows, round(self.held_out * len(rows)))
        substitute = self._fit(rows[~held], answers[~held])
        self._report |= {
            "transfer_set": len(rows),
            "discarded": int(silent.sum()),
            "distinct": len(rows.unique()),
            "pool": len(self.run.pool),
            "epochs": self.recipe.epochs,
            **strategy.report(),
        }
        if held.any():
            agree = predict(substitute, self.run.pool[rows[held]]) == answers[held].argmax(-1)
            self._report["held_out"] = len(agree)
            self._report["held_out_fidelity"] = agree.double().mean().item()
        return substitute

    def report(self) -> Mapping[str, float]:
        """Say how large the transfer set and the pool were, and how faithful the substitute is."""
        return self._report

    def _count(self, budget: int) -> int:
        """Return how many queries the pool is good for, and say so where the budget is larger."""
        count = budget if self.repeat else min(budget, len(self.run.pool))
        self._report = {"shortfall": budget - count}
        if count < budget:
            log.warning(
                "The pool has %d images, the budget is %d: %d queries are not asked. Give another "
                "--pool, a smaller --budget, or knockoffnet.repeat=true to ask again.",
                count,
                budget,
                budget - count,
            )
        return count

    def _ask(self, oracle: Oracle, strategy: Strategy, count: int) -> tuple[Tensor, Tensor]:
        """Return the rows ``(N,)`` of the pool that were sent, and the answers ``(N, K)``."""
        pool, left = self.run.pool, count
        rows = [torch.empty(0, dtype=torch.int64, device=pool.device)]
        answers = [torch.empty(0, oracle.num_classes, device=pool.device)]
        with track("queries", count) as advance:
            while left := min(left, oracle.remaining):  # a recovery may ask more than we do
                rows.append(strategy.choose(min(left, self.query_batch)))
                answers.append(oracle.query(as_float(pool[rows[-1]])))
                advance(len(rows[-1]))
                left -= len(rows[-1])
                if left:
                    strategy.learn(rows[-1], answers[-1])
        return torch.cat(rows), torch.cat(answers)

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
