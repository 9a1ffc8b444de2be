"""Mahalanobis: how far a query lies from all classes, in several layers of the victim."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import torch
from attrs import asdict, define, field, frozen, validators
from torch import Tensor, nn

from ringfence import hookimpl
from ringfence.protocols import Detector
from ringfence.run import DefenseRun
from ringfence_boogeyman import gate, gaussians, logistic, tuning
from ringfence_boogeyman.blocks import in_blocks
from ringfence_boogeyman.gaussians import Gaussians
from ringfence_boogeyman.layers import chosen, vectors

STEPS = (0.0, 0.0005, 0.001, 0.0014, 0.002, 0.005, 0.01)  #: of deep_Mahalanobis_detector
FOLDS = 5  #: scikit-learn's default, as in that code
Weigh = Callable[[Tensor], Tensor]  #: distances ``(N, L)`` of all layers -> ``(N,)``


@frozen(eq=False)
class Distances:
    """Distances to the closest class in each layer of ``net``."""

    net: nn.Module
    names: Sequence[str]
    layers: Sequence[Gaussians]

    def __call__(self, images: Tensor, step: float) -> Tensor:
        """Return ``(N, L)`` float64 of float images ``(N, C, H, W)``.

        With a ``step`` each layer sees the images moved by it towards its own closest class.
        """
        if not step:
            return self._all(vectors(self.net, self.names, images))
        columns = []
        for row in range(len(self.layers)):
            moved = images - step * self._ascent(images, row).sign()
            columns.append(self._all(vectors(self.net, self.names, moved))[:, row])
        return torch.stack(columns, 1)

    def _all(self, features: Sequence[Tensor]) -> Tensor:
        pairs = zip(self.layers, features, strict=True)
        return torch.stack([layer.distance(own) for layer, own in pairs], 1)

    def _ascent(self, images: Tensor, row: int) -> Tensor:
        """Return the gradient of the distance in one layer, with respect to the images."""
        with torch.enable_grad():
            leaf = images.detach().requires_grad_()
            distance = self.layers[row].distance(vectors(self.net, self.names, leaf)[row]).sum()
            gradient: Tensor = torch.autograd.grad(distance, leaf)[0]
        return gradient


@define(eq=False)
class Mahalanobis:
    """Flags queries far from all classes, and suspects clients of many such.

    Lee, Lee, Lee, Shin, NeurIPS 2018; the strongest baseline of Atli et al., Table 4. Class means
    and one covariance per layer, of training images as they are.
    """

    paper = "Lee et al.: A Simple Unified Framework for Detecting OOD Samples, NeurIPS 2018"
    threat = "natural images that are unlike the victim's, inside the victim"

    layers: tuple[str, ...] = field(
        default=(),
        validator=validators.deep_iterable(validators.min_len(1)),
        metadata={"help": "names of the victim's modules; none: stages, or activations"},
    )
    combine: Literal["regression", "sum"] = field(
        default="regression",
        validator=validators.in_(("regression", "sum")),
        metadata={"help": "of layers: a regression that sees outliers, or plain addition"},
    )
    step: float = field(
        default=0.0,
        validator=validators.ge(0),
        metadata={"help": "towards the closest class, of each pixel; costs two passes a layer"},
    )
    tuned: bool = field(
        default=False, metadata={"help": "choose the step on outliers and half of validation"}
    )
    tnr: float = gate.tnr(0.95)
    min_queries: int = gate.min_queries()
    share: float | None = gate.share()
    tail: float = gate.tail()
    block: int = gate.block()

    @hookimpl
    def make_detector(self, run: DefenseRun, victim: nn.Module) -> Detector:
        """Fit the Gaussians, learn how to weigh the layers, and find the threshold."""
        names = chosen(victim.eval(), self.layers)
        kept = run.cached("gaussians", lambda: self._fitted(run, victim, names))
        distances = Distances(victim, names, [Gaussians(**layer) for layer in kept])
        step = self.step
        if self.tuned:
            step = run.cached("step", lambda: self._tuned(run, distances))
        weigh = self._weights(run, distances, step)

        def judge(images: Tensor) -> Tensor:
            return weigh(distances(images, step))

        def score(images: Tensor, logits: Tensor) -> Tensor:
            return in_blocks(judge, images, self.block)

        free = not (self.tuned or self.combine == "regression")
        benign = run.validation.images if free else tuning.halves(run)[1]
        scores = gate.scores(score, victim, benign)
        threshold = gate.threshold_at(scores, self.tnr)
        told = {"layers": len(distances.layers), "step": step}
        return gate.make_gate(run, victim, score, scores, threshold, self, told)

    def _fitted(self, run: DefenseRun, victim: nn.Module, names: Sequence[str]) -> list[Any]:
        """Return the Gaussians of each layer as plain values."""
        widths = [one.shape[1] for one in vectors(victim, names, self._one(run))]

        def joined(images: Tensor) -> Tensor:
            return torch.cat(vectors(victim, names, images), 1)

        features = in_blocks(joined, run.train.images, self.block).split(widths, 1)
        return [asdict(gaussians.fit(own, run.train.labels)) for own in features]

    def _one(self, run: DefenseRun) -> Tensor:
        return torch.zeros(1, *run.image_shape, device=run.device)

    def _weights(self, run: DefenseRun, distances: Distances, step: float) -> Weigh:
        """Return what makes one number of the distances ``(N, L)`` of all layers."""
        if self.combine == "sum":
            return lambda columns: columns.sum(1)

        def fitted() -> dict[str, Any]:
            seed = run.streams.seed_for("folds") % 2**32
            sides = self._distances(run, distances, step)
            return logistic.dump(logistic.fit(*sides, FOLDS, balanced=True, seed=seed))

        return logistic.Logistic(**run.cached("regression", fitted))

    def _tuned(self, run: DefenseRun, distances: Distances) -> float:
        """Return the step at which the regression, or the sum, catches most."""

        def scores(step: float) -> tuple[Tensor, Tensor]:
            sides = self._distances(run, distances, step)
            if self.combine == "sum":
                return sides[0].sum(1), sides[1].sum(1)
            found = logistic.fit(*sides, FOLDS, balanced=True, seed=0)
            return found(sides[0]), found(sides[1])

        return tuning.best(STEPS, scores)

    def _distances(
        self, run: DefenseRun, distances: Distances, step: float
    ) -> tuple[Tensor, Tensor]:
        """Return ``(N, L)`` of half of the validation images, and ``(M, L)`` of outliers."""
        sides = tuning.halves(run)[0], tuning.known_outliers(run)
        benign, outliers = (
            in_blocks(lambda block: distances(block, step), images, self.block) for images in sides
        )
        return benign, outliers
