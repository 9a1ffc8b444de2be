"""Benign clients made of held-out flags: how many a count of flags suspects."""

from __future__ import annotations

import numpy as np
import pytest

from ringfence.flags import BinomialNoise, FixedShare, Suspicion
from ringfence.memorystore import MemoryStore
from ringfence.resampling import FalseSuspicion, false_suspicion


def suspicion(limits, window=None):
    return Suspicion(MemoryStore().of("it"), limits, 50, window)


def resampled(own, flags, clients, queries, seed=0):
    random = np.random.default_rng(seed)
    return false_suspicion(own, flags, clients=clients, queries=queries, random=random)


def flags(rate, of=10_000):
    return np.arange(of) < rate * of


@pytest.mark.parametrize("rate", [0.01, 0.1, 0.3])
@pytest.mark.parametrize("window", [None, 100], ids=["cumulative", "windowed"])
def test_at_most_one_innocent_client_of_a_thousand_is_suspected(rate, window):
    """At the very rate that the limits are made for, where they are weakest."""
    own = suspicion(BinomialNoise(rate, 1e-6), window)

    assert resampled(own, flags(rate), 3000, 300).upper <= 1e-3


@pytest.mark.parametrize("window", [None, 100], ids=["cumulative", "windowed"])
def test_limits_that_are_too_low_are_found_out(window):
    careless = suspicion(BinomialNoise(0.1, 1e-3), window)

    assert resampled(careless, flags(0.1), 3000, 300).rate > 2e-3
    assert resampled(suspicion(FixedShare(0.1), window), flags(0.1), 300, 300).rate > 0.7


def test_a_client_is_counted_as_one_who_counts_by_hand_does():
    pool, random = flags(0.2, 50), np.random.default_rng(3)
    expected = 0
    for _ in range(40):
        own = pool[random.integers(50, size=80)].cumsum()
        seen = np.arange(1, 81)
        expected += bool((own > np.floor(0.25 * seen))[49:].any())

    found = resampled(suspicion(FixedShare(0.25)), pool, 40, 80, seed=3)

    assert 0 < expected < 40
    assert found == FalseSuspicion(expected, 40)


def test_those_suspected_of_none_may_still_be_a_few():
    assert FalseSuspicion(0, 3000).upper == pytest.approx(1 - 0.05 ** (1 / 3000))
    assert FalseSuspicion(0, 2990).upper > 1e-3 > FalseSuspicion(0, 3000).upper
