"""The images of a run: the victim's splits, the attacker's pool and seeds, the outliers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from attrs import frozen
from torch import Tensor

from ringfence.choice import Choice
from ringfence.datasets import DataSets
from ringfence.errors import BadOption
from ringfence.randomness import Streams
from ringfence.splits import cut
from ringfence.types import ImageSet, Split


@frozen(eq=False)
class Materials:
    """All images of a run, on its device and in the victim's format."""

    train: Split
    validation: Split
    test: Split
    pool: Tensor
    seeds: Tensor
    outliers: Tensor | None
    names: Mapping[str, str | None]  #: of pool and outliers
    marks: tuple[str, ...]


def gather(
    choice: Choice, sets: DataSets, data: ImageSet, preferred: Mapping[str, Any]
) -> Materials:
    """Cut, load and adapt what ``choice`` and the data set's defaults name."""
    streams = Streams(choice.seed).scope("materials")
    shape = tuple(data.train.images.shape[1:])
    train, validation = cut(data.train, streams.generator("validation"), data.groups)
    some = torch.randperm(len(train), generator=streams.generator("seeds"))
    pool_name = choice.pool or preferred.get("pool")
    outliers_name = _outliers_name(choice, sets, preferred)
    pool = _pool(choice, sets, data, pool_name, shape)
    shared = ("shared_pool",) if pool_name and pool_name == outliers_name else ()
    return Materials(
        train=sets.on_device(train),
        validation=sets.on_device(validation),
        test=sets.on_device(data.test),
        pool=pool,
        seeds=train.images[some[: preferred["seeds"]]].to(choice.device),
        outliers=sets.images(outliers_name, shape) if outliers_name else None,
        names={"pool": pool_name, "outliers": outliers_name},
        marks=(*data.marks, *shared),
    )


def _pool(
    choice: Choice, sets: DataSets, data: ImageSet, name: str | None, shape: Sequence[int]
) -> Tensor:
    if name:
        return sets.images(name, tuple(shape))
    if data.pool is None:
        raise BadOption(
            f"Data set {choice.dataset!r} brings no pool of the attacker's. Give --pool."
        )
    return data.pool.to(choice.device)


def _outliers_name(choice: Choice, sets: DataSets, preferred: Mapping[str, Any]) -> str | None:
    """Return a name where a defense could ask for outliers; nobody else can."""
    if not choice.defense:
        return None
    names = choice.outliers or preferred.get("outliers")
    return sets.at_hand(names) if names else None
