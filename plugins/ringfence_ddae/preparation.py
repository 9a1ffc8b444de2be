"""What is done before the attack: buy, train shadow models, rehearse, ask the victim once."""

from __future__ import annotations

import logging
from functools import partial
from operator import itemgetter
from typing import TYPE_CHECKING

from attrs import frozen

from ringfence.fingerprint import fingerprint
from ringfence.protocols import Oracle
from ringfence.recipe import Recipe
from ringfence.run import AttackRun
from ringfence.types import Split
from ringfence_ddae.expected import Expected
from ringfence_ddae.formats import HARD, observed_format
from ringfence_ddae.material import BOUGHT, LOOK, Bought, Draw, buy, others, same, subsets
from ringfence_ddae.rehearsal import Effort, rehearse
from ringfence_ddae.remedies import Remedy, keep, rejecting, restoring
from ringfence_ddae.shadows import EPOCHS, Shadow, small, train

if TYPE_CHECKING:
    from ringfence_ddae import Ddae

log = logging.getLogger(__name__)
BATCH = 100  #: images a step of a shadow model, as the authors have it
ENSEMBLE = 8  #: shadow models, at most, whose mean is the attacker's own posterior
Report = dict[str, float]


@frozen(eq=False)
class Preparation:
    """The order of things, as the plugin's options have it."""

    run: AttackRun
    options: Ddae
    rehearsed: tuple[Expected, ...]

    def __call__(self, oracle: Oracle, report: Report) -> Remedy:
        """Spend up to ``share`` of the budget; return what shall be done to answers."""
        bought_only = self.options.data == BOUGHT
        elsewhere = None if bought_only else others(self.run, self.options.data)
        bought = self._buy(oracle)
        format = observed_format(bought.answers)
        report |= {"bought": len(bought.answers), "hard": format == HARD}
        if (reason := self._hopeless(format, bought)) is not None:
            log.warning("ddae hands answers on as they are: %s.", reason)
            return keep
        draw, key = self._data(elsewhere, bought.labelled())
        if format == HARD and self.options.hard == "reject":
            ensemble = self._shadows(draw, ENSEMBLE, key)
            return rejecting([shadow.model for shadow in ensemble], self.options.doubt)
        shadows = self._shadows(draw, self.options.shadows, key)
        return self._restoring(oracle, shadows, format, key, report)

    def _buy(self, oracle: Oracle) -> Bought:
        """Ask what may be spent, but for one query that each meta-classifier needs."""
        wanted = self.options.images if self.options.data == BOUGHT else LOOK
        allowed = int(oracle.remaining * self.options.share) - len(self.options.expects)
        return buy(self.run, oracle, max(0, min(wanted, allowed)))

    def _hopeless(self, format: str, bought: Bought) -> str | None:
        """Return why nothing can be learnt, if so."""
        if not len(bought.answers):
            return "the budget is too small to buy anything"
        if len(bought.labelled()) < 2:
            return "the victim refused what was asked"
        if format == HARD and self.options.hard == "keep":
            return "labels are hard, and ddae.hard is 'keep'"
        if format == HARD and self.options.data != BOUGHT:
            return "labels are hard, and the shadow models know nothing of the victim's classes"
        return None

    def _data(self, elsewhere: Split | None, own: Split) -> tuple[Draw, str]:
        """Return what draws a shadow model's data, and a key for what is made of them."""
        if elsewhere is None:
            return same(own), fingerprint(own.images, own.labels)
        draw = subsets(elsewhere, self.run.num_classes, self.options.images)
        return draw, self.options.data

    def _shadows(self, draw: Draw, count: int, key: str) -> list[Shadow]:
        channels = self.run.image_shape[0]
        epochs = self.options.epochs or EPOCHS[min(channels, 3)]
        recipe = Recipe(epochs=epochs, batch_size=BATCH, optimizer="adam", lr=1e-3)
        new_model = self.run.new_model
        if self.options.model == "small":
            new_model = partial(small, self.run.num_classes, self.run.image_shape)
        return train(self.run, new_model, draw, recipe, count, f"{key}/{count}")

    def _restoring(
        self, oracle: Oracle, shadows: list[Shadow], format: str, key: str, report: Report
    ) -> Remedy:
        """Rehearse every expected defense; return a remedy against the one that looks likeliest."""
        options = self.options
        beside = {"always": True, "never": False, "hard": format == HARD}[options.beside]
        count = max(1, min(ENSEMBLE, len(shadows) // 4)) if beside else 0
        own = [shadow.model for shadow in shadows[:count]]
        effort = Effort(
            options.warmup,
            options.repeats,
            options.steps,
            options.pairs,
            options.passes,
            options.balance,
        )
        rehearsed = [
            rehearse(self.run, defense, shadows[count:], own, format, effort, key)
            for defense in self.rehearsed
        ]
        scores = [one.score(oracle) for one in rehearsed]
        for one, score in zip(rehearsed, scores, strict=True):
            figures = one.report if one.meta is None else {**one.report, "score": score}
            report |= {f"{one.name}_{figure}": value for figure, value in figures.items()}
        score, likeliest = max(zip(scores, rehearsed, strict=True), key=itemgetter(0))
        report["detected"] = score > 0
        if options.when == "detected" and (likeliest.rules_out(score) or likeliest.harms):
            return keep
        return restoring(likeliest.restorer, own)
