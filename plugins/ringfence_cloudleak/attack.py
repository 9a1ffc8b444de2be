"""The attack at work: ask about the seeds, then in rounds craft, choose, ask, fine-tune."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from copy import deepcopy
from math import ceil

import torch
from attrs import define, evolve, field
from torch import Generator, Tensor, nn

from ringfence.answers import refused
from ringfence.errors import BadOption, MissingData
from ringfence.freezing import Freeze, frozen
from ringfence.images import as_float
from ringfence.inference import logits, predict
from ringfence.inference import share as share_of
from ringfence.protocols import Oracle
from ringfence.recipe import Recipe
from ringfence.run import AttackRun
from ringfence.training import fit
from ringfence_cloudleak.crafting import Bank, Crafter
from ringfence_cloudleak.guides import find_guides
from ringfence_cloudleak.pairing import Choice, least_sure, pairs, repeated
from ringfence_cloudleak.pretraining import Start
from ringfence_cloudleak.transfer import TransferSet

log = logging.getLogger(__name__)


@define(eq=False, kw_only=True)
class Leak:
    """Fine-tunes a pre-trained substitute on answers to images crafted with it."""

    run: AttackRun
    start: Start
    crafter: Crafter
    recipe: Recipe
    rounds: int
    round_epochs: int
    restart: bool
    freeze: Freeze
    choice: Choice
    surplus: float  #: pairs crafted for one query
    pool_guides: int  #: guides that the pool gives; 0: the seeds are the guides
    query_batch: int
    rounded: bool
    argmax: bool
    _report: dict[str, float] = field(factory=dict, init=False)

    def extract(self, oracle: Oracle) -> nn.Module:
        """Spend what is left of the budget; return the substitute.

        All that can be refused is refused before the first query.
        """
        if not len(self.run.seeds):
            raise MissingData("CloudLeak crafts its images out of seeds, and there are none.")
        model, started = self.start.model(self.run)
        _refuse_misfit(model, self.run.seeds[:1], oracle.num_classes)
        first = deepcopy(model.state_dict())
        transfer = TransferSet(oracle, self.query_batch, self.rounded)
        order = self.run.generator("training")
        seeds, known = self._seeds(model, transfer, order)
        told = self._crafted(model, transfer, seeds, order)
        if self.restart:
            model.load_state_dict(first)
        self._tune(model, transfer, self.recipe.epochs, order)
        self._report = {**started, **transfer.report(), "seeds": len(seeds.images), **known, **told}
        return model

    def report(self) -> Mapping[str, float]:
        """Say how the substitute started, what was crafted, and what came of the queries."""
        return self._report

    def _seeds(
        self, model: nn.Module, transfer: TransferSet, order: Generator
    ) -> tuple[Bank, Mapping[str, float]]:
        """Return the seeds with their classes: the victim's, or the model's where it refused."""
        answers = transfer.ask(self.run.seeds)
        images = self.run.seeds[: len(answers)]
        if len(images) < len(self.run.seeds):
            log.warning("the budget allows %d of %d seeds", len(images), len(self.run.seeds))
        self._tune(model, transfer, self.recipe.epochs, order)
        told = ~refused(answers)
        found = len(answers[told].argmax(-1).unique())
        if found < answers.shape[1]:
            log.warning("the victim sees %d of %d classes in the seeds", found, answers.shape[1])
        classes = answers.argmax(-1)
        if not told.all():
            classes = torch.where(told, classes, predict(model, images))
        return Bank(images, classes), {"seed_classes": found}

    def _crafted(
        self, model: nn.Module, transfer: TransferSet, seeds: Bank, order: Generator
    ) -> Mapping[str, float]:
        """Spend the budget in rounds; report on the pairs."""
        oracle, done = transfer.oracle, 0
        reached: list[Tensor] = []
        random = self.run.generator("pairs")
        guides, allowed = find_guides(model, seeds, self.run.pool, self.pool_guides, random)
        most = ceil(oracle.remaining * self.surplus) + self.rounds  # every round rounds up
        chosen = pairs(allowed, most, random)
        for left in range(self.rounds, 0, -1):
            share = ceil(oracle.remaining / left)
            rows = chosen[done : done + ceil(share * self.surplus)]
            if not len(rows):
                break
            images, zero = self.crafter.craft(model, seeds, guides, rows)
            best = least_sure(logits(model, images).softmax(-1), share, self.choice)
            transfer.ask(images[best])
            done += len(rows)
            reached.append(zero)
            if left > 1:
                self._tune(model, transfer, self.round_epochs, order)
        return {
            "guides": len(guides.images),
            "crafted": done,
            "repeated": repeated(chosen[:done]),
            "hinge_zero": share_of(torch.cat(reached)) if reached else 0.0,
        }

    def _tune(self, model: nn.Module, transfer: TransferSet, epochs: int, order: Generator) -> None:
        """Fit what is not frozen to all answers so far."""
        if not len(transfer):
            return
        images, answers = transfer.pairs(argmax=self.argmax)
        recipe = evolve(self.recipe, epochs=epochs)
        with frozen(model, self.freeze) as objective:
            fit(
                model,
                images,
                answers,
                recipe,
                objective=objective,
                generator=order,
                name="fine-tuning",
            )


@torch.no_grad()
def _refuse_misfit(model: nn.Module, images: Tensor, classes: int) -> None:
    """Refuse a substitute whose answers are not those of the oracle in number."""
    own = model(as_float(images)).shape[1]
    if own != classes:
        raise BadOption(
            f"The substitute knows {own} classes, the oracle answers {classes}. Nothing was "
            "asked. Choose a substitute for the oracle's classes."
        )
