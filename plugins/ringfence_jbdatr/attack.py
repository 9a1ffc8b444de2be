"""The attack at work: ask about the seeds, then in rounds train, craft, ask."""

from __future__ import annotations

import logging
from collections.abc import Mapping

import torch
from attrs import define, evolve, field
from torch import Generator, Tensor, nn

from ringfence.answers import answer_format
from ringfence.errors import MissingData
from ringfence.images import as_float
from ringfence.progress import track
from ringfence.protocols import Oracle
from ringfence.recipe import Recipe
from ringfence.run import AttackRun
from ringfence.training import fit
from ringfence_jbdatr.crafting import Rule
from ringfence_jbdatr.growth import Growth, some
from ringfence_jbdatr.transfer import TransferSet

log = logging.getLogger(__name__)


@define(eq=False, kw_only=True)
class Augmentation:
    """Grows a transfer set from seeds, and fits the substitute to it."""

    run: AttackRun
    rule: Rule
    growth: Growth
    recipe: Recipe
    rounds: int
    final_epochs: int
    warm: bool
    query_batch: int
    rounded: bool
    argmax: bool
    _report: dict[str, float] = field(factory=dict, init=False)

    def extract(self, oracle: Oracle) -> nn.Module:
        """Spend the budget or all rounds, whichever ends first; return the substitute."""
        drawn, training = self.run.generator("parents"), self.run.generator("training")
        transfer = self._seeds(oracle, drawn)
        substitute, done = None, 0
        while done < self.rounds:
            room = oracle.remaining
            parents = self.growth.parents(len(transfer), transfer.seeds, done, room, drawn)
            if not len(parents):
                break
            substitute = self._train(substitute, transfer, self.recipe, training)
            self._grow(transfer, substitute, oracle, parents, done)
            done += 1
        last = evolve(self.recipe, epochs=self.final_epochs)
        self._report = {**transfer.report(), "rounds": done, "eps": self.rule.eps}
        return self._train(substitute, transfer, last, training)

    def report(self) -> Mapping[str, float]:
        """Say how large the transfer set is, and how it came about."""
        return self._report

    def _seeds(self, oracle: Oracle, drawn: Generator) -> TransferSet:
        """Return the answered seeds: all of them, or as many random ones as may be asked."""
        if not len(self.run.seeds):
            raise MissingData("JBDA-TR grows images out of seeds, and there are none.")
        rows = torch.arange(len(self.run.seeds), device=drawn.device)
        chosen = some(rows, oracle.remaining, drawn)
        if len(chosen) < len(rows):
            log.warning("the budget allows %d of %d seeds", len(chosen), len(rows))
        images = self._stored(as_float(self.run.seeds[chosen]))
        transfer = TransferSet.of_seeds(images, self._ask(oracle, images))
        found, classes = len(transfer.labels.unique()), oracle.num_classes
        if found < classes:
            log.warning("the victim sees %d of %d classes in the seeds", found, classes)
        return transfer

    def _grow(
        self,
        transfer: TransferSet,
        substitute: nn.Module,
        oracle: Oracle,
        parents: Tensor,
        round: int,
    ) -> None:
        """Add one new image for each of ``parents``."""
        crafted, answers = [], []
        with track(f"round {round + 1}", len(parents)) as advance:
            for rows in parents.split(self.query_batch):
                old, labels = transfer.images[rows], transfer.answers[rows].argmax(-1)
                new = self.rule.craft(substitute, as_float(old), labels, round)
                crafted.append(self._stored(new))
                answers.append(oracle.query(as_float(crafted[-1])))
                advance(len(rows))
        transfer.add(torch.cat(crafted), torch.cat(answers), parents)

    def _ask(self, oracle: Oracle, images: Tensor) -> Tensor:
        """Return the answers ``(N, K)`` to ``images``, in their order."""
        parts = images.split(self.query_batch)
        return torch.cat([oracle.query(as_float(part)) for part in parts])

    def _stored(self, images: Tensor) -> Tensor:
        """Return float ``images`` in the form in which they are sent and kept."""
        return (images * 255).round().to(torch.uint8) if self.rounded else images

    def _train(
        self,
        substitute: nn.Module | None,
        transfer: TransferSet,
        recipe: Recipe,
        training: Generator,
    ) -> nn.Module:
        """Return a new substitute, or the last one if it is to go on, fitted to all answers."""
        if substitute is None or not self.warm:
            substitute = self.run.new_model()
        answers = answer_format("hard")(transfer.answers) if self.argmax else transfer.answers
        return fit(
            substitute, transfer.images, answers, recipe, generator=training, name="substitute"
        )
