"""A run that takes milliseconds on a CPU, and traffic for it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ringfence.experiment import Experiment
from ringfence.recipe import Recipe
from ringfence.selection import ask, manager
from ringfence.service import Service
from ringfence.session import Session
from ringfence.types import Queries, Split

CLASSES = 4
QUERIES = 40
SIZES = ((1, 32, 7), (40,), (5,) * 8)  #: three ways to cut the same queries into batches


def tiny_experiment(*, budget: int = 64, seed: int = 0, device: str = "cpu") -> Experiment:
    """Return an experiment of 96 images 1x8x8 and four classes, stored as uint8."""
    random = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (96, 1, 8, 8), generator=random, dtype=torch.uint8).to(device)
    split = Split(images, torch.arange(96, device=device) % CLASSES)
    return Experiment(
        train=split,
        validation=split,
        test=split,
        pool=images.flip(0),
        seeds=images[:8].clone(),
        outliers=images.flip(2),
        num_classes=CLASSES,
        new_model=lambda: tiny_model().to(device),
        new_substitute=lambda: tiny_model().to(device),
        recipe=Recipe(epochs=2),
        substitute_recipe=Recipe(epochs=2),
        budget=budget,
        seed=seed,
        device=device,
        benign_clients=2,
        attacker_clients=2,
    )


def tiny_model() -> nn.Module:
    """Return a linear model for images 1x8x8 and four classes."""
    return nn.Sequential(nn.Flatten(), nn.Linear(64, CLASSES))


def made(hook: str, plugin: Any, **arguments: Any) -> Any:
    """Return the strategy that ``plugin`` makes."""
    strategies = ask(manager({"it": plugin}), hook, lambda _: arguments)
    assert strategies, f"{plugin!r} does not implement {hook}"
    return strategies["it"]


def session(run: Experiment, model: nn.Module, budget: int) -> Session:
    """Return an undefended oracle of two clients."""
    clients = ("one", "two")
    return Session(Service(model.eval()), clients, run.num_classes, run.image_shape, budget)


def traffic(run: Experiment, sizes: Sequence[int]) -> Iterator[tuple[Queries, Tensor]]:
    """Yield the queries of three clients, interleaved, in batches of ``sizes``, with logits."""
    clients = [f"client-{row % 3}" for row in range(QUERIES)]
    random = torch.Generator().manual_seed(1)
    logits = torch.randn(QUERIES, CLASSES, generator=random).to(run.device)
    images, first = run.pool.float() / 255, torch.arange(QUERIES, device=run.device) // 3
    start = 0
    for size in sizes:
        rows = slice(start, start + size)
        yield Queries(images[rows], tuple(clients[rows]), first[rows]), logits[rows]
        start += size
