"""A run that takes milliseconds on a CPU, and traffic for it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from attrs import evolve, frozen
from torch import Tensor, nn

from ringfence.experiment import Experiment
from ringfence.plugins import check_contract
from ringfence.protocols import Endpoint
from ringfence.randomness import seeded
from ringfence.recipe import Recipe
from ringfence.selection import ask, manager
from ringfence.service import Service
from ringfence.session import Session
from ringfence.testing.promises import keeping, promise
from ringfence.types import Queries, Split

ATTACKER = ("make_attack", "make_recovery")
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


def made(hook: str, plugin: Any, protocol: type | None = None, **arguments: Any) -> Any:
    """Return the strategy that ``plugin`` makes; it has the methods of ``protocol``."""
    strategies = ask(manager({"it": plugin}), hook, lambda _: arguments)
    promise("plugin-made", strategies, f"{hook}() must return a strategy, not None")
    methods = protocol is None or isinstance(strategies["it"], protocol)
    told = f"{hook}() must return a {protocol and protocol.__name__}, not {strategies['it']!r}"
    promise("plugin-made", methods, told)
    return strategies["it"]


def fresh(plugin: Any) -> Any:
    """Return a new plugin with the same options, that has made nothing yet."""
    cls = type(plugin)
    kind = "attacks" if any(hasattr(cls, hook) for hook in ATTACKER) else "defenses"
    with keeping("plugin-class", "a plugin is an attrs class with hooks, @define(eq=False)"):
        check_contract(kind, cls.__name__, cls)
    return evolve(plugin)


def victim(run: Experiment, stream: str = "victim") -> nn.Module:
    """Return a model with the weights of that stream, ready to answer; it was not trained."""
    with seeded(run.streams, stream):
        return run.new_model().eval()


def defender(hook: str, plugin: Any, run: Experiment, protocol: type) -> Any:
    """Return the strategy that a defense makes for the victim of ``run``."""
    return made(hook, plugin, protocol, run=run.for_defense("it"), victim=victim(run))


def attacker(hook: str, plugin: Any, run: Experiment, protocol: type) -> Any:
    """Return the strategy that an attacker's plugin makes."""
    return made(hook, plugin, protocol, run=run.for_attack("it"))


def session(run: Experiment, model: nn.Module, budget: int) -> Session:
    """Return an undefended oracle of two clients."""
    return metered(run, Service(model.eval()), budget)


def metered(run: Experiment, endpoint: Endpoint, budget: int) -> Session:
    """Return an oracle of two clients before any endpoint."""
    return Session(endpoint, ("one", "two"), run.num_classes, run.image_shape, budget)


@frozen(eq=False)
class Stubborn:
    """Answers every image alike: a class, or with zeros, which is to refuse."""

    answer_row: Tensor  #: ``(K,)``

    def answer(self, images: Tensor, clients: Sequence[str]) -> Tensor:
        """Return ``(N, K)`` in float64."""
        return self.answer_row.double().to(images.device).expand(len(images), -1).clone()


def stubborn() -> Iterator[Stubborn]:
    """Yield what refuses every query, and what knows one class only."""
    yield Stubborn(torch.zeros(CLASSES))
    yield Stubborn(torch.eye(CLASSES)[-1])


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
