"""The metric ``falsesuspicion``: which share of benign clients would ever be suspected.

Clients of several lengths are made of the detector's flags on test images, which no threshold has
seen, and judged by every kind of S. Threshold and rate are those of the run.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from attrs import evolve
from numpy.typing import NDArray

from ringfence.flags import BinomialNoise, FixedShare, Suspicion
from ringfence.inference import logits
from ringfence.resampling import false_suspicion
from ringfence.result import Outcome
from ringfence.unsure import Unsure
from ringfence_amao.anytime import Anytime

CLIENTS = 10_000  #: of each length; none of 3,000 is just enough for a bound of 1 in 1,000
LENGTHS = (50, 100, 500, 2000)  #: queries
TAIL, WINDOW, SHARE = 1e-9, 100, 0.1  #: the defaults of the plugin, and the paper's example


def false_suspicions(done: Outcome) -> dict[str, Any]:
    """Return per detector the share of benign clients suspected, by kind of S and by length.

    ``own`` is the run's own S, with its options; the others have default ones. Of detectors that
    count flags below a threshold; nothing of others, or where another oracle answered.
    """
    detectors = done.guard.service.detectors if done.guard else {}
    return {
        name: _figures(done, detector)
        for name, detector in detectors.items()
        if isinstance(detector, Unsure)
    }


def _figures(done: Outcome, detector: Unsure) -> dict[str, Any]:
    assert done.guard
    scores = logits(done.guard.victim.model, done.run.test.images)
    flags = (detector.confidence(scores) <= detector.threshold).cpu().numpy()
    highest = detector.found["highest_rate"]
    return {
        "threshold": detector.threshold,
        "validation_rate": detector.found["benign_rate"],
        "highest_rate": highest,
        "test_rate": float(flags.mean()),
        "clients": CLIENTS,
        "suspected": by_kind(detector.suspicion, highest, flags, CLIENTS, done.run.seed),
    }


def by_kind(
    own: Suspicion, rate: float, flags: NDArray[np.bool_], clients: int, seed: int
) -> dict[str, dict[str, Mapping[str, float]]]:
    """Return the clients suspected, their share and its upper bound, by kind and by length."""
    found: dict[str, dict[str, Mapping[str, float]]] = {}
    for kind, suspicion in kinds(own, rate).items():
        found[kind] = {}
        for length in LENGTHS:
            random = np.random.default_rng([seed, length])  # the same clients for every kind
            one = false_suspicion(suspicion, flags, clients=clients, queries=length, random=random)
            found[kind][str(length)] = {
                "clients": one.suspected, "rate": one.rate, "upper": one.upper
            }  # fmt: skip
    return found


def kinds(own: Suspicion, rate: float) -> dict[str, Suspicion]:
    """Return every kind of S; ``rate``: the most flags a benign query is thought to have."""
    noise = BinomialNoise(rate, TAIL)
    return {
        "own": own,
        "cumulative": evolve(own, limits=noise, window=None),
        "windowed": evolve(own, limits=noise, window=WINDOW),
        "anytime": evolve(own, limits=Anytime(rate, TAIL), window=None),
        "paper": evolve(own, limits=FixedShare(SHARE), window=None),
    }
