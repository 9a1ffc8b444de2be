"""Where the substitute starts: weights from a file, or what it learns from images in public."""

from __future__ import annotations

from collections.abc import Mapping
from os.path import isfile  # unlike Path's, false for a name that is too long
from pathlib import Path
from typing import Literal

import torch
from attrs import frozen
from torch import Tensor, nn

from ringfence.errors import BadOption, MissingData
from ringfence.fingerprint import fingerprint
from ringfence.recipe import Recipe
from ringfence.run import AttackRun
from ringfence.training import cross_entropy, fit
from ringfence.transplant import fill
from ringfence.weights import read
from ringfence_cloudleak.pretext import WithHead, quarters, rotations

POOL, NOTHING = "pool", "nothing"
Task = Literal["labels", "rotation"]


@frozen(eq=False)
class Start:
    """How a substitute comes by its first weights."""

    weights: str | None  #: a file; then nothing is pre-trained
    source: str  #: ``pool``, ``nothing``, or the name of a public data set
    task: Task
    recipe: Recipe

    def model(self, run: AttackRun) -> tuple[nn.Module, Mapping[str, float]]:
        """Return a new substitute in eval mode, and what to report of its start."""
        model = run.new_model()
        if self.weights is not None:
            _load(model, self.weights)
        elif self.source != NOTHING:
            return self._pretrained(model, run)
        return model.eval(), {"pretrained_images": 0}

    def _pretrained(
        self, model: nn.Module, run: AttackRun
    ) -> tuple[nn.Module, Mapping[str, float]]:
        images, labels = self._lesson(run)
        turned = self.task == "rotation" or labels is None
        key = f"pretrained/{fingerprint(images, labels)}"
        made = run.cached(key, lambda: self._fit(run, images, None if turned else labels))
        model.load_state_dict(made)
        told = {"pretrained_images": len(images), "pretrained_by_rotation": turned}
        return model.eval(), {**told, "pretrained_on_pool": self.source == POOL}

    def _lesson(self, run: AttackRun) -> tuple[Tensor, Tensor | None]:
        """Return images ``(N, C, H, W)``, and classes ``(N,)`` where there are two or more."""
        if self.source == POOL:
            images, labels = run.pool, run.pool_labels
        else:
            public = run.public(self.source)
            images, labels = public.images, public.labels
        if not len(images):
            raise MissingData(
                f"CloudLeak cannot pre-train on {self.source!r}: it has no images. Name another "
                f"set with -o cloudleak.pretrain_on, or {NOTHING}."
            )
        several = labels is not None and bool((labels != labels[0]).any())
        return images, labels if several else None

    def _fit(self, run: AttackRun, images: Tensor, labels: Tensor | None) -> dict[str, Tensor]:
        """Return the weights of a new model whose body has learnt ``labels``, or rotations."""
        model = run.new_model()
        turns = quarters(images)
        classes = len(turns) if labels is None else int(labels.max()) + 1
        body = WithHead(model, images[:1], classes)
        objective = cross_entropy if labels is not None else rotations(turns, run.generator("turn"))
        targets = torch.zeros(len(images), dtype=torch.int64, device=images.device)
        order = run.generator("pretraining")
        fit(
            body,
            images,
            targets if labels is None else labels,
            self.recipe,
            objective=objective,
            generator=order,
            name="pre-training",
        )
        return dict(model.state_dict())


def _load(model: nn.Module, weights: str) -> None:
    """Copy weights from a file; its names may lack what all names of the model begin with."""
    file = Path(weights).expanduser()
    if not isfile(file):
        raise BadOption(
            f"Option cloudleak.weights is no file: {weights!r}. Give the path of one.",
            option="cloudleak.weights",
        )
    found, expected = read(file), list(model.state_dict())
    prefix = expected[0].partition(".")[0] + "." if expected else ""
    if all(name.startswith(prefix) for name in expected) and not any(
        name.startswith(prefix) for name in found
    ):
        found = {prefix + name: tensor for name, tensor in found.items()}
    fill(model, found, "substitute", weights)
