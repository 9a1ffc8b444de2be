"""Attackers' pools of the victim's own distribution, by names that no data set may have.

``train``: the very images that the victim learns from, without their labels. ``half``: half of
the data set's training images, which the victim then never sees.
"""

from __future__ import annotations

from attrs import evolve
from torch import Generator, Tensor

from ringfence.defaults import OWN_POOLS
from ringfence.splits import held
from ringfence.types import ImageSet

TRAIN, HALF = OWN_POOLS


def withhold(data: ImageSet, generator: Generator) -> tuple[ImageSet, Tensor]:
    """Return the data set without half of its training images, and these ``(N, C, H, W)``.

    Stratified by label; images of one group stay together.
    """
    away = held(data.train.labels, len(data.train) // 2, generator, data.groups)
    groups = None if data.groups is None else data.groups[~away.to(data.groups.device)]
    rest = evolve(data, train=data.train.rows(~away), groups=groups)
    return rest, data.train.images[away]
