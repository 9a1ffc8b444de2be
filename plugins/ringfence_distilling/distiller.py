"""The recovery at work: the stolen model answers, a fresh one listens."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from attrs import define, field
from torch import Tensor, nn

from ringfence.images import as_float
from ringfence.inference import logits
from ringfence.protocols import Oracle
from ringfence.recipe import Recipe
from ringfence.run import AttackRun
from ringfence.seen import Seen
from ringfence.training import fit

if TYPE_CHECKING:
    from ringfence_distilling import Distilling


@define(eq=False)
class Distiller:
    """Keeps every image in memory until the attack is over, if they are to be used."""

    run: AttackRun
    options: Distilling
    recipe: Recipe
    _seen: Seen = field(factory=Seen, init=False)
    _report: dict[str, float] = field(factory=dict, init=False)

    def wrap(self, oracle: Oracle) -> Oracle:
        """Return an oracle that writes down what is asked."""
        return oracle if self.options.on == "pool" else self._seen.wrap(oracle)

    def finish(self, substitute: nn.Module) -> nn.Module:
        """Return a fresh model that has learnt the substitute's answers; it is left alone."""
        images = self._images()
        self._report = {"images": len(images), "epochs": self.options.epochs}
        if not len(images):
            return substitute
        return fit(
            self.run.new_model(),
            images,
            (logits(substitute.eval(), images) / self.options.temperature).softmax(-1),
            self.recipe,
            objective=self._loss,
            generator=self.run.generator("training"),
            name="distilling",
        )

    def report(self) -> Mapping[str, float]:
        """Say on how many images the fresh model was trained."""
        return self._report

    def _loss(self, model: nn.Module, images: Tensor, targets: Tensor) -> Tensor:
        """Return the soft cross-entropy; squared, the temperature leaves the gradient its size."""
        warm = self.options.temperature
        return warm**2 * F.cross_entropy(model(images) / warm, targets)

    def _images(self) -> Tensor:
        """Return ``(N, C, H, W)``, each image as often as it was sent or lies in the pool."""
        wanted = {"seen": self.options.on != "pool", "pool": self.options.on != "seen"}
        sources = {"seen": self._seen.images(), "pool": self.run.pool}
        chosen = [images for name, images in sources.items() if wanted[name] and len(images)]
        alike = len({images.dtype for images in chosen}) == 1
        joined = [images if alike else as_float(images) for images in chosen]
        return torch.cat(joined) if joined else torch.empty(0)
