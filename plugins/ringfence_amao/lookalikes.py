"""The metric ``lookalikes``: does an image that was made from another get the same answer?

AMAO, section 5.6.2: a thief who asks twice about what is nearly one image sees which answers were
perturbed, unless the two agree. Table 12 adds how well the hashes find what was made from what.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from attrs import evolve
from torch import Tensor
from torchvision.transforms.v2 import functional as change

from ringfence.attacker import attacker_names
from ringfence.calibration import best_cut
from ringfence.images import as_float
from ringfence.inference import BATCH, predict, share
from ringfence.result import Outcome
from ringfence_amao.similarity import Pairs, rehearsed_pairs, similarities, strangers

RULES = ("median", "mean", "mean_no_dc")
ATTACKS = ("jbdatr", "cloudleak")  #: rehearsed on the victim, with as many queries as images
IMAGES = 2000  #: test images that are changed, at most
PAPER = 0.63  #: AMAO's similarity for MNIST
DEGREES, NOISE, CROPPED = 15.0, 0.05, 1 / 8  #: rotation, standard deviation, share of a side


def lookalikes(done: Outcome) -> dict[str, Any]:
    """Return per kind of change: ``similarity`` by hash rule, and the shares of ``equal`` answers.

    ``equal``: of all pairs, as the attacker's first client is told; ``equal_altered``: of those
    whose original got another class than the victim's own, null where there is none;
    ``victim``: of all pairs, without any defense. Nothing where another oracle answered.
    """
    if not done.guard:
        return {}
    return {kind: _figures(done, pairs) for kind, pairs in _kinds(done)}


def _kinds(done: Outcome) -> Iterator[tuple[str, Pairs]]:
    assert done.guard
    images = as_float(done.run.test.images[:IMAGES])
    for kind, changed in CHANGES.items():
        yield kind, (images, changed(images))
    view = done.run.for_defense("lookalikes", None, done.guard.victim.key)
    for attack in ATTACKS:
        rehearse = partial(rehearsed_pairs, view, done.guard.victim.model, attack, IMAGES, "train")
        yield attack, view.cached(attack, rehearse)


def _figures(done: Outcome, pairs: Pairs) -> dict[str, Any]:
    assert done.guard
    honest = [predict(done.guard.victim.model, images) for images in pairs]
    told = _told(done, pairs)
    altered, equal = honest[0] != told[0], told[0] == told[1]
    return {
        "similarity": {rule: _similarity(pairs, rule) for rule in RULES},
        "pairs": len(altered),
        "altered": int(altered.sum()),
        "equal": share(equal),
        "equal_altered": share(equal[altered]) if altered.any() else None,
        "victim": share(honest[0] == honest[1]),
    }


def _told(done: Outcome, pairs: Pairs) -> list[Tensor]:
    """Return the classes that the attacker's first client is told, originals first.

    The run is over: what the defenses remember of these queries is forgotten again.
    """
    assert done.guard
    client, kept = attacker_names(done.run)[0], done.run.store.dump()
    service = evolve(done.guard.service, listener=None)
    told = [
        torch.cat([service.answer(part, [client] * len(part)) for part in images.split(BATCH)])
        for images in pairs
    ]
    done.run.store.load(kept)
    return [answers.argmax(-1) for answers in told]


def _similarity(pairs: Pairs, rule: str) -> dict[str, float]:
    """Return the best threshold with its balanced accuracy, and that of the paper's threshold."""
    related, unrelated = (similarities(some, rule) for some in (pairs, strangers(pairs[0])))
    cut = best_cut(related, unrelated)
    found, wrong = share(related >= PAPER), share(unrelated >= PAPER)
    return {
        "threshold": cut.threshold,
        "accuracy": cut.accuracy,
        "accuracy_paper": (found + 1 - wrong) / 2,
        "unrelated_paper": wrong,
    }


def _flipped(images: Tensor) -> Tensor:
    return images.flip(-1)


def _rotated(images: Tensor) -> Tensor:
    turned: Tensor = change.rotate(images, DEGREES, change.InterpolationMode.BILINEAR)
    return turned


def _cropped(images: Tensor) -> Tensor:
    """Return the middle, enlarged to the old size."""
    size = list(images.shape[-2:])
    kept = [round(side * (1 - CROPPED)) for side in size]
    enlarged: Tensor = change.resize(change.center_crop(images, kept), size, antialias=True)
    return enlarged


def _noisy(images: Tensor) -> Tensor:
    generator = torch.Generator(images.device).manual_seed(0)
    noise = torch.empty_like(images).normal_(0, NOISE, generator=generator)
    return (images + noise).clamp_(0, 1)


CHANGES: dict[str, Callable[[Tensor], Tensor]] = {
    "flip": _flipped,
    "crop": _cropped,
    "rotation": _rotated,
    "noise": _noisy,
}
