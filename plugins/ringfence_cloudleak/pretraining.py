"""Where the substitute starts: weights from a file, or what it learns from images in public."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import torch
import torch.nn.functional as F
from attrs import evolve, frozen
from torch import Generator, Tensor, nn

from ringfence.errors import BadOption, MissingData
from ringfence.features import activations
from ringfence.fingerprint import fingerprint
from ringfence.images import as_float
from ringfence.run import AttackRun
from ringfence.training import Objective, cross_entropy, fit
from ringfence.transplant import fill
from ringfence.weights import read

POOL, NOTHING = "pool", "nothing"
Task = Literal["labels", "rotation"]


@frozen(eq=False)
class Start:
    """How a substitute comes by its first weights."""

    weights: str | None  #: a file; then nothing is pre-trained
    source: str  #: ``pool``, ``nothing``, or the name of a public data set
    task: Task
    epochs: int

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
        width = _width(model, images[:1])
        turns = _turns(images)
        classes = len(turns) if labels is None else int(labels.max()) + 1
        body = WithHead(model, width, classes).to(images.device)
        objective = cross_entropy if labels is not None else rotations(turns, run.generator("turn"))
        targets = torch.zeros(len(images), dtype=torch.int64, device=images.device)
        recipe = evolve(run.recipe, epochs=self.epochs)
        order = run.generator("pretraining")
        fit(
            body,
            images,
            targets if labels is None else labels,
            recipe,
            objective=objective,
            generator=order,
            name="pre-training",
        )
        return dict(model.state_dict())


class WithHead(nn.Module):
    """A network whose last layer is replaced; it stays untouched inside, for what comes later."""

    def __init__(self, body: nn.Module, width: int, classes: int) -> None:
        super().__init__()
        self.body, self.head = body, nn.Linear(width, classes)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits ``(N, classes)``."""
        logits: Tensor = self.head(activations(self.body, images).features)
        return logits


def rotations(turns: tuple[int, ...], generator: Generator) -> Objective:
    """Return the task of telling by which quarter ``turns`` an image was turned.

    Gidaris, Singh, Komodakis, "Unsupervised Representation Learning by Predicting Image
    Rotations", ICLR 2018: a way to learn from images without labels.
    """

    def objective(model: nn.Module, images: Tensor, targets: Tensor) -> Tensor:
        drawn = torch.randint(
            len(turns), (len(images),), generator=generator, device=generator.device
        )
        stacked = torch.stack([images.rot90(turn, (2, 3)) for turn in turns])
        turned = stacked[drawn, torch.arange(len(images), device=images.device)]
        return F.cross_entropy(model(turned), drawn)

    return objective


def _turns(images: Tensor) -> tuple[int, ...]:
    """Return the quarter turns that keep the shape of ``images``."""
    return (0, 1, 2, 3) if images.shape[2] == images.shape[3] else (0, 2)


@torch.no_grad()
def _width(model: nn.Module, images: Tensor) -> int:
    """Return the number of late features."""
    was = model.training
    width = activations(model.eval(), as_float(images)).features.shape[1]
    model.train(was)
    return width


def _load(model: nn.Module, weights: str) -> None:
    """Copy weights from a file; its names may lack what all names of the model begin with."""
    file = Path(weights).expanduser()
    if not file.is_file():
        raise BadOption(f"Option cloudleak.weights is no file: {weights!r}. Give a path.")
    found, expected = read(file), list(model.state_dict())
    prefix = expected[0].partition(".")[0] + "." if expected else ""
    if all(name.startswith(prefix) for name in expected) and not any(
        name.startswith(prefix) for name in found
    ):
        found = {prefix + name: tensor for name, tensor in found.items()}
    fill(model, found, type(model).__name__, weights)
