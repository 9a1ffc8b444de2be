"""Shadow models: small networks of the attacker's own, of which many are trained.

The architectures are those of the authors' code for MNIST and CIFAR-10. Smaller images are
padded; larger ones are averaged down first, so that the last layers keep their size.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from attrs import frozen
from torch import nn

from ringfence.recipe import Recipe
from ringfence.run import AttackRun
from ringfence.training import fit
from ringfence.types import Split
from ringfence_ddae.material import Draw

SIDE = 32  #: pixels; larger images are averaged down to it
EPOCHS = {1: 40, 3: 100}  #: by channels: the authors' for MNIST and CIFAR-10
NewModel = Callable[[], nn.Module]


@frozen(eq=False)
class Shadow:
    """A trained model, frozen, in eval mode, and what it has learnt."""

    model: nn.Module
    data: Split


def small(num_classes: int, image_shape: tuple[int, ...]) -> nn.Module:
    """Return a fresh network for images ``(N, C, H, W)``; logits ``(N, num_classes)``."""
    channels, *sides = image_shape
    shrink = [nn.AdaptiveAvgPool2d(SIDE)] if max(sides) > SIDE else []
    padding = 2 if min(sides) < 16 else 0
    features = nn.Sequential(*shrink, *(_grey(padding) if channels == 1 else _colour(channels)))
    width = features(torch.zeros(1, *image_shape)).shape[1]
    return nn.Sequential(features, *_dense(channels, width, num_classes))


def train(
    run: AttackRun, new_model: NewModel, draw: Draw, recipe: Recipe, count: int, key: str
) -> list[Shadow]:
    """Return ``count`` shadow models, each fitted to what ``draw`` gives it.

    They are cached under ``key``, which tells one set of shadow data from another.
    """

    def make() -> list[dict[str, Any]]:
        return [_trained(run, new_model, draw, recipe, number) for number in range(count)]

    states = run.cached(f"shadows/{key}", make)
    return [
        Shadow(_loaded(run, new_model, state), draw(_stream(run, number)))
        for number, state in enumerate(states)
    ]


def _trained(
    run: AttackRun, new_model: NewModel, draw: Draw, recipe: Recipe, number: int
) -> dict[str, Any]:
    model, data = new_model().to(run.device), draw(_stream(run, number))
    random = run.generator(f"shadow/{number}/training")
    fit(model, data.images, data.labels, recipe, generator=random, name=f"shadow model {number}")
    return model.state_dict()


def _stream(run: AttackRun, number: int) -> torch.Generator:
    return run.generator(f"shadow/{number}/data")


def _loaded(run: AttackRun, new_model: NewModel, state: dict[str, Any]) -> nn.Module:
    model = new_model().to(run.device)
    model.load_state_dict(state)
    return model.eval().requires_grad_(False)


def _dense(channels: int, width: int, num_classes: int) -> tuple[nn.Module, ...]:
    if channels == 1:
        return nn.Linear(width, 512), nn.ReLU(), nn.Linear(512, num_classes)
    first = (nn.Linear(width, 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU())
    return *first, nn.Dropout(0.5), nn.Linear(256, num_classes)


def _grey(padding: int) -> tuple[nn.Module, ...]:
    return (
        nn.Conv2d(1, 16, 5, padding=padding),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 5, padding=padding),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
    )


def _colour(channels: int) -> tuple[nn.Module, ...]:
    return (
        nn.Conv2d(channels, 32, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(32, 32, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(64, 64, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
    )
