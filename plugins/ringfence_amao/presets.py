"""What the paper leaves open, and the two ways in which we fill it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from attrs import Factory, frozen

Name = Literal["ringfence", "paper"]


@frozen
class Preset:
    """The options that differ between the presets."""

    similarity: float  #: of two hashes, one minus the share of bits that differ
    same_class: bool  #: a replay needs the victim to give both images one class
    suspicion: str
    rule: str
    hash: str
    similarities: Mapping[str, float] = Factory(dict)  #: ... where a data set has its own


#: ``paper``: the similarities of AMAO's table 12, the whole history, the printed rules.
#: ``ringfence``: 14 of 64 bits and the same class, so that only what is truly similar is
#: replayed; a window, so that a thief whose first queries are benign is marked earlier.
PRESETS: dict[Name, Preset] = {
    "paper": Preset(
        0.63, False, "cumulative", "paper", "mean", {"fashionmnist": 0.66, "cifar10": 0.64}
    ),
    "ringfence": Preset(0.78, True, "windowed", "exact", "median"),
}


@frozen
class Training:
    """Adversarial training of one data set: AMAO's section 4.2 names no attack and no radius."""

    epsilon: float  #: maximum norm; what keeps clean accuracy near AMAO's table 2
    attack: str = "pgd"
    stride: float = 0.25  #: a step, in epsilon
    steps: int = 7


#: ``digits`` is what a first run trains on, so its attack is the one that costs least.
TRAININGS = {
    "mnist": Training(0.1),
    "digits": Training(0.1, "fgsm_rs"),
    "fashionmnist": Training(0.05),
    "cifar10": Training(4 / 255),
    "imagenette": Training(2 / 255, stride=0.5, steps=4),
}
OTHER = Training(4 / 255)  #: any other data set
FAST_STRIDE = 1.25  #: of fgsm_rs, from a random start (Wong, Rice, Kolter 2020)
LARGE = 224  #: pixels from which imagehash itself is as fast
