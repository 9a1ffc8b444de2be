"""What the paper leaves open, and the two ways in which we fill it."""

from __future__ import annotations

from typing import Literal

from attrs import frozen

Name = Literal["ringfence", "paper"]


@frozen
class Preset:
    """The options that differ between the presets."""

    similarity: float  #: of two hashes, one minus the share of bits that differ
    same_class: bool  #: a replay needs the victim to give both images one class
    suspicion: str
    rule: str


#: ``paper``: similarity .63 (AMAO, table 12, MNIST), the whole history, the printed rule.
#: ``ringfence``: 14 of 64 bits and the same class, so that only what is truly similar is
#: replayed; a window, so that a thief whose first queries are benign is marked earlier.
PRESETS: dict[Name, Preset] = {
    "paper": Preset(0.63, False, "cumulative", "paper"),
    "ringfence": Preset(0.78, True, "windowed", "exact"),
}

#: Maximum norm of adversarial training by data set: what keeps clean accuracy near AMAO's
#: table 2 (algorithms of its section 4.2 name no radius).
EPSILONS = {"mnist": 0.1, "digits": 0.1, "fashionmnist": 0.05, "cifar10": 4 / 255,
            "imagenette": 2 / 255}  # fmt: skip
LARGE = 224  #: pixels from which imagehash itself is as fast
EPSILON = 4 / 255  #: elsewhere
