"""What shadow models learn: images with classes that the attacker has, or buys.

The paper's attacker holds two percent of the training set, with labels. A run's attacker has a
few unlabelled seeds, so it buys their labels and those of pool images; or its shadow models
learn another problem, of as many classes, from a set that has labels of its own.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from attrs import frozen
from torch import Generator, Tensor

from ringfence.answers import refused
from ringfence.errors import BadOption
from ringfence.images import as_float
from ringfence.protocols import Oracle
from ringfence.run import AttackRun
from ringfence.types import Split

BOUGHT = "bought"
POOL = "pool"
LOOK = 8  #: queries that show the answers' format where none are bought otherwise

Draw = Callable[[Generator], Split]  #: makes what one shadow model learns


@frozen(eq=False)
class Bought:
    """Images ``(N, C, H, W)`` as stored, and the answers ``(N, K)`` that were paid for."""

    images: Tensor
    answers: Tensor

    def labelled(self) -> Split:
        """Return the images that were answered, each with its top-1 class."""
        told = ~refused(self.answers)
        return Split(self.images[told], self.answers[told].argmax(-1))


def buy(run: AttackRun, oracle: Oracle, count: int) -> Bought:
    """Ask ``count`` images, or as many as there are: first the seeds, then a sample of the pool."""
    random = run.generator("bought")
    order = torch.randperm(len(run.pool), generator=random, device=random.device)
    seeds = run.seeds[:count]
    images = torch.cat([seeds, run.pool[order[: count - len(seeds)]].to(seeds.dtype)])
    return Bought(images, oracle.query(as_float(images)))


def others(run: AttackRun, name: str) -> Split:
    """Return a labelled set of another problem, which must have classes enough for this one."""
    if name == POOL and run.pool_labels is None:
        raise BadOption(
            "The pool has no classes of its own. Let ddae.data name a public data set, or leave "
            f"it at {BOUGHT!r}.",
            option="ddae.data",
        )
    labels = run.pool_labels
    data = run.public(name) if name != POOL or labels is None else Split(run.pool, labels)
    if (have := len(data.labels.unique())) < run.num_classes:
        raise BadOption(
            f"{name!r} has {have} classes, the victim {run.num_classes}. Let ddae.data name a set "
            "with at least as many.",
            option="ddae.data",
        )
    return data


def same(data: Split) -> Draw:
    """Return what draws the same data for every model, as the authors do."""
    return lambda random: data


def subsets(data: Split, num_classes: int, count: int) -> Draw:
    """Return what draws ``num_classes`` random classes of ``data``, ``count`` images in all."""
    known = data.labels.unique()

    def draw(random: Generator) -> Split:
        chosen = known[torch.randperm(len(known), generator=random, device=random.device)]
        mine = data.labels[:, None] == chosen[:num_classes]
        rows = mine.any(-1).nonzero().flatten()
        some = torch.randperm(len(rows), generator=random, device=random.device)[:count]
        return Split(data.images[rows[some]], mine[rows[some]].int().argmax(-1))

    return draw
