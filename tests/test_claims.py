"""Binomial bounds against exact fractions, and the set sizes that follow from them."""

from __future__ import annotations

from fractions import Fraction
from math import comb

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ringfence.claims import LARGEST, false_claim, p_value, smallest_set, tolerated

classes = st.sampled_from([2, 3, 10, 43, 256, 1000])


def exactly(size, hits, chance):
    """Return the chance of exactly ``hits``."""
    return comb(size, hits) * chance**hits * (1 - chance) ** (size - hits)


@settings(deadline=None)
@given(st.integers(1, 60), st.data(), classes)
def test_the_p_value_is_the_exact_tail(size, data, number):
    hits = data.draw(st.integers(0, size))
    exact = sum(exactly(size, n, Fraction(1, number)) for n in range(hits, size + 1))

    assert p_value(hits, size, 1 / number) == pytest.approx(float(exact), rel=1e-9)


@settings(deadline=None)
@given(st.integers(1, 60), st.integers(1, 99), classes)
def test_the_bound_is_the_published_sum(size, percent, number):
    """P_fp: fewer misses than e |T|, each with probability 1 - 1/m."""
    chance = Fraction(1, number)
    allowed = [n for n in range(size + 1) if n < Fraction(percent, 100) * size]
    exact = sum(exactly(size, size - n, chance) for n in allowed)

    assert tolerated(size, percent / 100) == max(allowed)
    assert false_claim(size, percent / 100, 1 / number) == pytest.approx(float(exact), rel=1e-9)


@pytest.mark.parametrize(
    ("number", "sizes"),
    [
        (10, [40, 55, 78, 130, 267]),
        (43, [20, 25, 34, 48, 77]),
        (256, [12, 15, 18, 25, 37]),
    ],
)
def test_the_smallest_sets_for_64_bits(number, sizes):
    tolerances = [0.3, 0.4, 0.5, 0.6, 0.7]

    assert [smallest_set(e, 1 / number, 64) for e in tolerances] == sizes
    for e, size in zip(tolerances, sizes, strict=True):
        assert false_claim(size, e, 1 / number) <= 2**-64 < false_claim(size - 1, e, 1 / number)


@pytest.mark.parametrize(("number", "size"), [(2, 64), (10, 20), (256, 8)])
def test_a_model_that_hits_all_needs_the_fewest(number, size):
    assert smallest_set(None, 1 / number, 64) == size
    assert p_value(size, size, 1 / number) <= 2**-64 < p_value(size - 1, size - 1, 1 / number)


def test_there_is_no_set_for_a_thief_who_may_miss_as_much_as_anybody():
    assert smallest_set(0.95, 1 / 10, 64) is None
    assert false_claim(LARGEST, 0.95, 1 / 10) == 1


def test_nothing_to_hit_is_no_evidence():
    assert p_value(0, 0, 0.1) == 1
    assert p_value(0, 5, 0.1) == 1
