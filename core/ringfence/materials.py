"""The images of a run: the victim's splits, the attacker's pool and seeds, the outliers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from attrs import frozen
from torch import Tensor

from ringfence.choice import Choice
from ringfence.datasets import DataSets
from ringfence.errors import BadOption
from ringfence.ownpool import HALF, TRAIN, withhold
from ringfence.randomness import Streams
from ringfence.splits import cut
from ringfence.types import ImageSet, Split


@frozen(eq=False)
class Side:
    """Images that one side brings from elsewhere, in the victim's format."""

    name: str | None
    images: Tensor
    marks: tuple[str, ...] = ()
    labels: Tensor | None = None  #: the set's own classes; not of the victim's set


@frozen(eq=False)
class Materials:
    """All images of a run, on its device."""

    train: Split
    validation: Split
    test: Split
    pool: Tensor
    pool_labels: Tensor | None
    seeds: Tensor
    outliers: Tensor | None
    names: Mapping[str, str | None]  #: of pool and outliers
    marks: tuple[str, ...]


def gather(
    choice: Choice, sets: DataSets, data: ImageSet, preferred: Mapping[str, Any]
) -> Materials:
    """Cut, load and adapt what ``choice`` and the data set's defaults name."""
    streams = Streams(choice.seed).scope("materials")
    if len(data.test) < 2 or len(data.train) < 2:
        raise BadOption(f"Data set {choice.dataset!r} needs two images or more in each split.")
    own: dict[str, Tensor] = {}
    if choice.pool == HALF:
        data, own[HALF] = withhold(data, streams.generator(HALF))
    train, validation = cut(data.train, streams.generator("validation"), data.groups)
    some = torch.randperm(len(train), generator=streams.generator("seeds"))
    own[TRAIN] = train.images
    pool = _pool(choice, sets, data, preferred, own)
    if not len(pool.images):
        raise BadOption("The attacker's pool has no images. Give another --pool.", option="pool")
    outliers = _outliers(choice, sets, data, preferred)
    names = {"pool": pool.name, "outliers": outliers.name if outliers else None}
    sides = {"pool": pool, "outliers": outliers}
    return Materials(
        train=sets.on_device(train),
        validation=sets.on_device(validation),
        test=sets.on_device(data.test),
        pool=pool.images,
        pool_labels=pool.labels,
        seeds=train.images[some[: preferred["seeds"]]].to(choice.device),
        outliers=outliers.images if outliers else None,
        names=names,
        marks=(*data.marks, *_marks(choice, sides)),
    )


def _marks(choice: Choice, sides: Mapping[str, Side | None]) -> Iterator[str]:
    """Yield what a reader must know of where the images come from."""
    for role, side in sides.items():
        if side is not None:
            yield from side.marks
            if side.name in (choice.dataset, TRAIN):
                yield f"{role}_is_train"
            if side.name == HALF:
                yield f"{role}_is_half"
    images = [side.images for side in sides.values() if side is not None]
    if len(images) == 2 and images[0].shape == images[1].shape and torch.equal(*images):
        yield "shared_pool"


def _pool(
    choice: Choice,
    sets: DataSets,
    data: ImageSet,
    preferred: Mapping[str, Any],
    own: Mapping[str, Tensor],
) -> Side:
    """Return the attacker's images; ``own``: those of the victim's distribution, by name."""
    if choice.pool and choice.pool in own:
        return Side(choice.pool, own[choice.pool].to(choice.device))
    if name := choice.pool or preferred.get("pool"):
        return _side("pool", sets, data, name)
    if data.pool is None:
        raise BadOption(
            f"Data set {choice.dataset!r} brings no pool for the attacker. Give --pool.",
            option="pool",
        )
    return Side(None, data.pool.to(choice.device))


def _outliers(
    choice: Choice, sets: DataSets, data: ImageSet, preferred: Mapping[str, Any]
) -> Side | None:
    """Return the defender's images; none where no defense could ask for them."""
    names = choice.outliers or preferred.get("outliers")
    if not (names and choice.defense):
        return None
    return _side("outliers", sets, data, names)


def _side(role: str, sets: DataSets, data: ImageSet, names: Any) -> Side:
    """Return another set's images; its marks, such as ``pool_subset``, say whose they are."""
    name, loaded = sets.first(names)
    images = sets.fit(loaded, tuple(data.train.images.shape[1:]))
    marks = tuple(f"{role}_{mark}" for mark in loaded.marks)
    own = torch.equal(loaded.train.images, data.train.images)  # under whatever name
    return Side(name, images, marks, None if own else loaded.train.labels.to(images.device))
