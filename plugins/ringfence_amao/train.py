"""Train: adversarial training, in AMAO to leave a thief fewer informative queries.

AMAO, section 4.2, which names neither attack nor radius. Madry et al. 2018 (PGD), Wong, Rice,
Kolter 2020 (FGSM with a random start), Goodfellow et al. 2015 (FGSM).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import torch
import torch.nn.functional as F
from attrs import define, field, frozen
from torch import Generator, Tensor, nn

from ringfence.adversarial import fgsm, pgd
from ringfence.images import as_float
from ringfence.inference import BATCH, accuracy, share
from ringfence.run import DefenseRun
from ringfence.training import fit
from ringfence.types import Split

STEPS = 20  #: of the PGD that robust accuracy is measured with, steps of a tenth of epsilon


@frozen
class Crafting:
    """How the adversarial half of a batch is made."""

    attack: str  #: fgsm, fgsm_rs or pgd
    epsilon: float
    step: float
    steps: int

    def __call__(
        self, model: nn.Module, images: Tensor, labels: Tensor, generator: Generator
    ) -> Tensor:
        """Return adversarial versions of float images ``(N, C, H, W)``."""
        if self.attack == "fgsm":
            return fgsm(model, images, labels, self.epsilon)
        if self.attack == "fgsm_rs":
            return fgsm(model, images, labels, self.epsilon, step=self.step, generator=generator)
        ball = partial(pgd, step=self.step, steps=self.steps, generator=generator)
        return ball(model, images, labels, self.epsilon)


@define(eq=False)
class Hardened:
    """The trainer at work: ``mix`` of the loss is on adversarial images, the rest on clean ones."""

    run: DefenseRun
    craft: Crafting
    mix: float
    _report: dict[str, float] = field(factory=dict, init=False)

    def train(self, model: nn.Module, data: Split) -> nn.Module:
        """Return ``model``, fitted to images and to adversarial versions of them."""
        streams = [self.run.generator(name) for name in ("train", "craft", "robust")]
        order, crafting, judging = streams

        def objective(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
            moved = self.craft(model, images, labels, crafting)
            hard = F.cross_entropy(model(moved), labels)
            if self.mix == 1:
                return hard
            return self.mix * hard + (1 - self.mix) * F.cross_entropy(model(images), labels)

        recipe = self.run.recipe
        fit(
            model,
            data.images,
            data.labels,
            recipe,
            objective=objective,
            generator=order,
            name="victim",
        )
        self._report = {
            "epsilon": self.craft.epsilon,
            "validation_accuracy": accuracy(model, self.run.validation),
            "robust_accuracy": robust_accuracy(
                model, self.run.validation, self.craft.epsilon, judging
            ),
        }
        return model

    def report(self) -> Mapping[str, float]:
        """Say how accurate the victim is on validation images, as they are and under PGD-20."""
        return self._report


def robust_accuracy(model: nn.Module, data: Split, epsilon: float, generator: Generator) -> float:
    """Return the accuracy on ``data`` after PGD of 20 steps within ``epsilon``."""
    right = []
    for images, labels in zip(data.images.split(BATCH), data.labels.split(BATCH), strict=True):
        ball = partial(pgd, step=epsilon / 10, steps=STEPS, generator=generator)
        moved = ball(model, as_float(images), labels, epsilon)
        with torch.no_grad():
            right.append(model(moved).argmax(-1) == labels)
    return share(torch.cat(right))
