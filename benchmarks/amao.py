"""What AMAO costs in front of a victim: detection, the whole guard, hashes, verification.

Races as in ``races.py``. Traffic goes on from call to call, so that groups, flips, replays and
records are those of a service at work. Example::

    python benchmarks/amao.py --threads 1 --clock cpu --repetitions 200 --out amao.json
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import cycle
from typing import Any

import imagehash
import numpy as np
import torch
from attrs import evolve
from guard import BATCH, CLASSES, Stage, stage
from PIL import Image
from races import Figures, Race, main
from torch import Tensor, nn

from ringfence import plugins
from ringfence.flags import Flags
from ringfence.inference import logits
from ringfence.recipe import Recipe
from ringfence.service import Service
from ringfence.session import Session
from ringfence.training import fit
from ringfence.types import Queries, Split
from ringfence_amao.phash import BITS, phash
from ringfence_amao.record import write

RECORD = 10_000  #: recorded flips, where nothing else is said
OPTIONS = {"threshold": 0.5, "temperature": 1.5}
TRAFFIC = 4096  #: images that are sent in turn
PAIRS = 1000
STEPS = 4  #: of training in one turn
Kept = Callable[[Figures], bool]


def detection(stage: Stage) -> Race:
    """Race the detector with the victim on a batch."""
    detector = stage.make("amao", "make_detector", **OPTIONS)
    queries, scores = stage.queries(BATCH), stage.logits(BATCH)
    inspect = stage.forgotten(lambda: detector.inspect(queries, scores))
    bare = partial(stage.logits, BATCH)
    promise = "at most 5 percent of the victim's time"
    return Race(inspect, bare, (BATCH, BATCH), "the bare LeNet-5", promise, at_most(0.05))


def guard(
    size: int,
    promise: str | None,
    kept: Kept,
    *,
    clients: int = 1,
    model: str = "lenet5",
    entries: int = RECORD,
    turns: int | None = None,
) -> Callable[[Stage], Race]:
    """Return what races the whole guard with the bare victim, all clients being suspected."""

    def prepare(stage: Stage) -> Race:
        stage = stage if model == "lenet5" else other(stage, model)
        names = tuple(f"client-{number}" for number in range(clients))
        ours = serving(stage, size, names, entries)
        images = stage.images[:size]
        bare = torch.no_grad()(lambda: logits(stage.victim, images))
        return Race(ours, bare, (size, size), f"the bare {model}", promise, kept, turns)

    return prepare


def growth(stage: Stage) -> Race:
    """Race a query of a client with 100,000 recorded flips with one of a client with 1,000."""
    large, small = (serving(stage, 1, (name,), n) for name, n in (("a", 100_000), ("b", 1000)))
    promise = "less than twice the time"
    return Race(large, small, (1, 1), "with 1,000 entries", promise, at_most(2))


def hashing(shape: tuple[int, ...], times: int) -> Callable[[Stage], Race]:
    """Return what races hashes of a batch with imagehash, image by image."""

    def prepare(stage: Stage) -> Race:
        images = torch.rand(1000, *shape, device=stage.images.device)
        pixels = images.mul(255).round().byte().permute(0, 2, 3, 1).squeeze(-1).cpu().numpy()

        def library() -> list[imagehash.ImageHash]:
            return [imagehash.phash(Image.fromarray(one)) for one in pixels]

        promise = f"{times} times its images/s"
        return Race(
            partial(phash, images), library, (1000, 1000), "imagehash", promise, at_most(1 / times)
        )

    return prepare


def verification(stage: Stage) -> Race:
    """Race a verdict on one suspect, beside three controls, with the passes that it needs."""
    images = torch.rand(PAIRS, *stage.images.shape[1:], device=stage.images.device)
    rows = torch.arange(PAIRS)
    queries = Queries(images, ("a",) * PAIRS, rows.to(images.device))
    lies = torch.eye(CLASSES, dtype=torch.float64, device=images.device)[rows % CLASSES]
    own = stage.run.store.of("amao")
    with stage.run.store.batch(("a",)):
        own.mark(queries, queries.first, "flipped")
        stage.run.store.settle(queries, lies)
    verifier = stage.make("amao", "make_verifier")
    nets = [stage.run.new_model().eval() for _ in range(4)]

    def verdict() -> Any:
        shape = tuple(images.shape[1:])
        suspect, *controls = (
            Session(Service(net), ("owner",), CLASSES, shape, 10 * PAIRS) for net in nets
        )
        return verifier.verify(suspect, controls)

    passes = torch.no_grad()(lambda: [logits(net, images) for net in nets])
    promise = "under a second for 1,000 pairs"

    def kept(found: Figures) -> bool:
        return bool(found["ours"]["median"] > PAIRS)

    return Race(verdict, passes, (PAIRS, PAIRS), "the passes", promise, kept)


def training(stage: Stage) -> Race:
    """Race adversarial training, as on MNIST, with plain training: one epoch of a few batches."""
    few = stage.run.validation.rows(torch.arange(8, device=stage.images.device))
    data = Split(stage.images.repeat(STEPS, 1, 1, 1), few.labels.repeat(STEPS * BATCH // 8))
    run = evolve(stage.run, validation=few, recipe=Recipe(epochs=1, batch_size=BATCH))
    plugin = plugins.build("defenses", "amao")
    trainer = plugin.make_trainer(evolve(run.for_defense("amao", plugin), dataset="mnist"))

    def ours() -> nn.Module:
        return trainer.train(run.new_model(), data)

    def plain() -> nn.Module:
        return fit(run.new_model(), data.images, data.labels, run.recipe)

    size = len(data)
    return Race(ours, plain, (size, size), "plain training", None, at_most(1), turns=10)


def serving(stage: Stage, size: int, clients: Sequence[str], entries: int) -> Callable[[], Tensor]:
    """Return what answers the next ``size`` images; each client's record has ``entries``."""
    hooks = ("make_detector", "make_responder")
    detector, responder = (stage.make("amao", hook, **OPTIONS) for hook in hooks)
    for name in clients:
        suspect(stage, name, entries)
    defenses = {"amao": detector}, {"amao": responder}
    service = Service(stage.victim, *defenses, stage.run.store)
    images = torch.rand(TRAFFIC, *stage.images.shape[1:], device=stage.images.device)
    batches, names = cycle(images.split(size)), [clients[row % len(clients)] for row in range(size)]
    return lambda: service.answer(next(batches), names)


def suspect(stage: Stage, name: str, entries: int) -> None:
    """Let a client be suspected, and fill its record with random flips."""
    random = np.random.default_rng(0)
    bits = random.random((entries, BITS)).argsort(1) < BITS // 2  # half of them, as in any hash
    hashes = np.packbits(bits, axis=1).view(">u8")[:, 0].astype(np.uint64)
    answers = torch.from_numpy(random.dirichlet(np.ones(CLASSES), entries))
    run = stage.run.for_defense("amao", plugins.build("defenses", "amao"))
    with stage.run.store.batch((name,)):
        write(run, name, hashes, random.integers(CLASSES, size=entries), answers)
        state = run.store.state(name, Flags)
        state.seen, state.flagged, state.suspected = 1000, 1000, True


def other(stage: Stage, model: str) -> Stage:
    """Return a stage of 32x32 colour images with another victim."""
    images = torch.rand(BATCH, 3, 32, 32, device=stage.images.device)
    plugin = plugins.build("models", model)
    victim = plugin.make(CLASSES, (3, 32, 32)).to(images.device).eval()
    victim = victim.to(memory_format=torch.channels_last)  # as training leaves it
    return Stage(evolve(stage.run, pool=images, seeds=images[:8]), victim, images)


def at_most(share: float) -> Kept:
    """Return whether the median time is at most this share of the other's."""
    return lambda found: bool(found["ratio"]["median"] <= share)


def at_least(queries: float) -> Kept:
    """Return whether so many queries a second are answered."""
    return lambda found: bool(found["ours"]["median"] >= queries)


RACES: dict[str, Callable[[Stage], Race]] = {
    "detect": detection,
    "single": guard(1, "under a millisecond", at_least(1000)),
    "clients": guard(32, "at least 4,000 queries/s", at_least(4000), clients=32),
    "batch": guard(BATCH, None, at_most(2)),
    "resnet18": guard(BATCH, "half the rate", at_most(2), model="resnet18", turns=3),
    "growth": growth,
    "phash-28": hashing((1, 28, 28), 6),
    "phash-32": hashing((3, 32, 32), 12),
    "verify": verification,
    "train": training,
}

if __name__ == "__main__":
    main(__doc__ or "", stage, RACES)
