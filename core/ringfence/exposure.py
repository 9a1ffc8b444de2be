"""Outlier exposure: a model learns to be unsure of images that belong to no class.

Hendrycks, Mazeika, Dietterich, "Deep Anomaly Detection with Outlier Exposure", ICLR 2019.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from attrs import define, field
from torch import Generator, Tensor, nn

from ringfence.augment import augment
from ringfence.errors import MissingData
from ringfence.images import as_float
from ringfence.recipe import Recipe
from ringfence.run import DefenseRun
from ringfence.training import fit
from ringfence.types import Split


def to_uniform(logits: Tensor) -> Tensor:
    """Return the mean cross-entropy of logits ``(N, K)`` to the uniform distribution."""
    return -logits.log_softmax(-1).mean()


@define(eq=False)
class OutlierBatches:
    """Outliers in a new random order each round, augmented as the training images are."""

    images: Tensor = field()  #: ``(O, C, H, W)``, uint8 or float in ``[0, 1]``
    recipe: Recipe
    generator: Generator
    _rows: Tensor = field(init=False)  #: of this round, not drawn yet

    @images.validator
    def _some(self, _: object, images: Tensor) -> None:
        if not len(images):
            raise MissingData("The set of outliers is empty. Give --outliers with images.")

    @_rows.default
    def _new_round(self) -> Tensor:
        device = self.images.device
        return torch.randperm(len(self.images), generator=self.generator, device=device)

    def draw(self, count: int) -> Tensor:
        """Return the next ``count`` outliers, float ``(count, C, H, W)`` in ``[0, 1]``."""
        while len(self._rows) < count:
            self._rows = torch.cat([self._rows, self._new_round()])
        rows, self._rows = self._rows[:count], self._rows[count:]
        return as_float(augment(self.images[rows], self.recipe, self.generator))


@define(eq=False)
class Exposure:
    """An objective for :func:`ringfence.training.fit`, with as many outliers as images a step.

    Both go through the model at once, so that batch normalisation sees what it will meet.
    """

    outliers: OutlierBatches
    weight: float  #: of the outliers' loss; the paper's is 0.5

    def __call__(self, model: nn.Module, images: Tensor, targets: Tensor) -> Tensor:
        """Return cross-entropy to the targets plus weighted cross-entropy to uniform."""
        outside = self.outliers.draw(len(images))
        known, unknown = model(torch.cat([images, outside])).split(len(images))
        return F.cross_entropy(known, targets) + self.weight * to_uniform(unknown)


@define(eq=False)
class ExposedTrainer:
    """Trains a victim as its recipe says, with outlier exposure."""

    recipe: Recipe
    exposure: Exposure
    generator: Generator  #: of the order and augmentation of the training images

    @classmethod
    def of(cls, run: DefenseRun, weight: float) -> ExposedTrainer:
        """Return a trainer with the run's recipe and outliers."""
        batches = OutlierBatches(run.outliers, run.recipe, run.generator("outliers"))
        return cls(run.recipe, Exposure(batches, weight), run.generator("training"))

    def train(self, model: nn.Module, data: Split) -> nn.Module:
        """Return ``model``, fitted to the labels and unsure of the outliers."""
        return fit(
            model,
            data.images,
            data.labels,
            self.recipe,
            objective=self.exposure,
            generator=self.generator,
            name="victim",
        )

    def report(self) -> Mapping[str, float]:
        """Say what the outliers weighed, and how many there were."""
        return {
            "exposure": self.exposure.weight,
            "outliers": len(self.exposure.outliers.images),
        }
