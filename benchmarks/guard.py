"""What defenses cost in front of a victim, against the bare victim or a loop written by hand.

Races as in ``races.py``. Example::

    python benchmarks/guard.py --threads 1 --clock cpu --out guard.json
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np
import torch
from attrs import evolve, frozen
from races import Figures, Race, main
from torch import Tensor, nn

from ringfence import plugins
from ringfence.experiment import Experiment
from ringfence.inference import logits
from ringfence.selection import ask, manager
from ringfence.testing import tiny_experiment
from ringfence.types import Queries, Split

SHAPE, CLASSES, BATCH = (1, 28, 28), 10, 256
STORED = 10_000  #: images of one client and class that PRADA compares a query with


class Undo(Exception):
    """Raised inside a batch of the store: it is forgotten, so that every call meets the same."""


@frozen(eq=False)
class Stage:
    """A victim with random weights, images for it, and a run that defenses are made for."""

    run: Experiment
    victim: nn.Module
    images: Tensor

    def queries(self, size: int) -> Queries:
        """Return a batch of one client that has sent as many queries as are stored."""
        device = self.images.device
        return Queries(
            self.images[:size], ("a",) * size, torch.arange(size, device=device) + STORED
        )

    @torch.no_grad()
    def logits(self, size: int) -> Tensor:
        """Return what the bare victim says of a batch."""
        return logits(self.victim, self.images[:size])

    def make(self, name: str, hook: str, **options: Any) -> Any:
        """Return the strategy of a defense."""
        plugin = plugins.build("defenses", name, options)
        view = {"run": self.run.for_defense(name, plugin), "victim": self.victim}
        return ask(manager({name: plugin}), hook, lambda _: view)[name]

    def forgotten(self, serve: Callable[[], object]) -> Callable[[], None]:
        """Return ``serve`` inside a batch of the store that leaves no trace."""

        def call() -> None:
            with suppress(Undo), self.run.store.batch(("a",)), torch.no_grad():
                serve()
                raise Undo

        return call


def stage(device: str) -> Stage:
    """Return LeNet-5 and random images of MNIST's size."""
    torch.manual_seed(0)
    images = torch.rand(BATCH, *SHAPE, device=device)
    split = Split(images, torch.arange(BATCH, device=device) % CLASSES)
    plugin = plugins.build("models", "lenet5")
    run = evolve(
        tiny_experiment(device=device),
        train=split,
        validation=split,
        test=split,
        pool=images,
        seeds=images[:8],
        outliers=images,
        num_classes=CLASSES,
        new_model=lambda: plugin.make(CLASSES, SHAPE).to(device),
    )
    return Stage(run, run.new_model().eval(), images)


def responder(name: str, promise: str, kept: Callable[[Figures], bool], **options: Any) -> Any:
    """Return what races a responder with the bare victim, on batches of 256."""

    def prepare(stage: Stage) -> Race:
        made = stage.make(name, "make_responder", **options)
        queries, probs = stage.queries(BATCH), stage.logits(BATCH).double().softmax(-1)
        respond = stage.forgotten(lambda: made.respond(queries, probs, []))
        bare = lambda: stage.logits(BATCH)  # noqa: E731
        return Race(respond, bare, (BATCH, BATCH), "the bare LeNet-5", promise, kept)

    return prepare


def prada(
    size: int, promise: str | None, kept: Callable[[Figures], bool]
) -> Callable[[Stage], Race]:
    """Return what races PRADA on batches of ``size`` with a loop over all that is stored.

    All queries are of one class, in which all 10,000 images are: the worst case. The loop only
    measures; PRADA also grows its set and tests all distances after every query.
    """

    def prepare(stage: Stage) -> Race:
        detector = stage.make("prada", "make_detector", delta=0.9)
        stored, scores = _fill(stage, detector), torch.zeros(size, CLASSES).to(stage.images.device)
        queries = stage.queries(size)
        inspect = stage.forgotten(lambda: detector.inspect(queries, scores))
        asked = stage.images[0].flatten().cpu().numpy()

        def loop() -> float:
            return min(float(np.linalg.norm(asked - one)) for one in stored)

        return Race(inspect, loop, (size, 1), "the loop", promise, kept)

    return prepare


def _fill(stage: Stage, detector: Any) -> Any:
    """Let the detector remember 10,000 images of one client and class; return them."""
    from ringfence_prada.detector import MINIMA
    from ringfence_prada.growing import GrowingSet
    from ringfence_prada.nearest import flat

    images, store = torch.rand(STORED, *SHAPE), detector.store
    rows = flat(images.to(stage.images.device))
    with stage.run.store.batch(("a",)):
        own = GrowingSet.of(store, "a", 0, 2 * STORED)
        own.images.append(rows.pixels)
        own.squares.append(rows.squares)
        own.spreads.append(torch.tensor([[9.0, 1.0, 8.0]], dtype=torch.float64).repeat(STORED, 1))
        distances = torch.randn(STORED, dtype=torch.float64) + 9
        store.log("a", MINIMA).append(torch.stack([torch.zeros_like(distances), distances], 1))
    return images.flatten(1).numpy()


def _at_most(share: float) -> Callable[[Figures], bool]:
    return lambda found: bool(found["ratio"]["median"] < share)


RACES: dict[str, Callable[[Stage], Race]] = {
    "deceptive": responder("deceptive", "under 3 percent of the victim's time", _at_most(0.03)),
    "dawn": responder(
        "dawn",
        "at least 20,000 decisions/s",
        lambda found: found["ours"]["median"] >= 20_000,
        rate=1 / 16,
    ),
    "prada": prada(BATCH, "a twentieth of the loop's time per query", _at_most(1 / 20)),
    "prada-single": prada(1, None, _at_most(1 / 20)),
}


if __name__ == "__main__":
    main(__doc__ or "", stage, RACES)
