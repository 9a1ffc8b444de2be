"""The recovery at work: remember what was bought, and train on it again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from attrs import define, field
from torch import Tensor, nn

from ringfence.inference import logits
from ringfence.protocols import Oracle
from ringfence.recipe import Recipe
from ringfence.run import AttackRun
from ringfence.seen import Seen
from ringfence.training import fit
from ringfence_finetuning.layers import only, redraw

if TYPE_CHECKING:
    from ringfence_finetuning import Finetuning


@define(eq=False)
class Tuner:
    """Keeps every image and answer in memory until the attack is over, if they are to be used."""

    run: AttackRun
    options: Finetuning
    recipe: Recipe
    _seen: Seen = field(factory=Seen, init=False)
    _report: dict[str, float] = field(factory=dict, init=False)

    def wrap(self, oracle: Oracle) -> Oracle:
        """Return an oracle that writes down what is asked and answered."""
        return self._seen.wrap(oracle) if self.options.on == "seen" else oracle

    def finish(self, substitute: nn.Module) -> nn.Module:
        """Train the substitute further, in place, if there is anything to learn."""
        images, targets = self._data(substitute)
        self._report = {"images": len(images), "epochs": self.options.epochs}
        if not len(images):
            return substitute
        if self.options.restart:
            redraw(substitute)
        with only(substitute, self.options.layers) as objective:
            return fit(
                substitute,
                images,
                targets,
                self.recipe,
                objective=objective,
                generator=self.run.generator("training"),
                name="finetuning",
            )

    def report(self) -> Mapping[str, float]:
        """Say on how many images the substitute was trained further."""
        return self._report

    def _data(self, substitute: nn.Module) -> tuple[Tensor, Tensor]:
        """Return images and soft labels."""
        if self.options.on == "seen":
            return self._seen.pairs()
        pool = self.run.pool
        return pool, logits(substitute.eval(), pool).softmax(-1)
