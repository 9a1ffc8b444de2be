"""The statistics against plain references."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ringfence_bench.statistics.bootstrap import interval
from ringfence_bench.statistics.holm import holm
from ringfence_bench.statistics.pareto import front
from ringfence_bench.statistics.signflip import p_value
from ringfence_bench.statistics.spread import spread

accuracies = st.floats(-1, 1, allow_nan=False).map(lambda x: round(x, 4))
p_values = st.lists(st.one_of(st.none(), st.floats(0, 1)), max_size=12)


def flipped(differences):
    """Every sign of every difference, one after the other."""
    own = abs(math.fsum(differences))
    flips = itertools.product((1, -1), repeat=len(differences))
    sums = [
        abs(math.fsum(s * d for s, d in zip(signs, differences, strict=True))) for signs in flips
    ]
    return sum(one >= own - 1e-9 for one in sums) / len(sums)


@given(st.lists(accuracies, min_size=1, max_size=8))
@example([0.0, 0.0, 0.0, 0.5, 0.5078, 0.0312, -0.8047, -0.2266])  # sums equal but for rounding
@settings(max_examples=60, deadline=None)
def test_the_permutation_test_counts_what_brute_force_counts(differences):
    assert p_value(differences) == pytest.approx(flipped(differences))


def test_fourteen_differences_are_flipped_exactly():
    differences = [0.01 * (i + 1) for i in range(14)]

    assert p_value(differences) == 2 / 2**14


@pytest.mark.parametrize("unit", [1e-6, 1, 1e5])
def test_units_make_no_difference(unit):
    differences = [0.5, 0.5078, 0.0312, -0.8047, -0.2266]

    assert p_value([unit * one for one in differences]) == p_value(differences) == 1


def test_many_differences_are_sampled_alike_in_every_call():
    differences = np.random.default_rng(0).normal(0.3, 1, 40).tolist()

    assert p_value(differences) == p_value(differences)
    assert p_value(differences) == pytest.approx(0.21, abs=0.2)


def test_sampled_and_t_test_agree_on_a_normal_sample():
    from scipy import stats

    differences = np.random.default_rng(3).normal(0.2, 1, 60).tolist()

    assert p_value(differences) == pytest.approx(stats.ttest_1samp(differences, 0).pvalue, abs=0.02)


def holm_by_hand(given):
    """For every p-value: the largest product of one not above it and how many are not below."""
    known = [p for p in given if p is not None]
    products = {q: min(1.0, q * sum(other >= q for other in known)) for q in known}
    return [None if p is None else max(products[q] for q in known if q <= p) for p in given]


@given(p_values)
def test_holm_is_the_largest_product_so_far(given):
    assert holm(given) == pytest.approx(holm_by_hand(given))


def test_holm_on_the_example_of_a_textbook():
    assert holm([0.01, 0.04, None, 0.03, 0.005]) == pytest.approx([0.03, 0.06, None, 0.06, 0.02])


@given(p_values)
def test_holm_never_makes_a_p_value_smaller_nor_changes_their_order(given):
    known = [(p, q) for p, q in zip(given, holm(given), strict=True) if p is not None]

    assert all(q >= p for p, q in known)
    assert [q for _, q in sorted(known)] == sorted(q for _, q in known)


@pytest.mark.parametrize(("n", "least"), [(10, 0.87), (30, 0.91)])
def test_the_bootstrap_covers_the_mean_of_a_normal_sample(n, least):
    random, hits, trials = np.random.default_rng(1), 0, 800
    for _ in range(trials):
        found = interval(random.normal(0.5, 1, n).tolist())
        hits += found.low <= 0.5 <= found.high

    assert least <= hits / trials <= 0.97


@given(st.lists(accuracies, min_size=3, max_size=12))
@settings(max_examples=25, deadline=None)
def test_the_bootstrap_stays_between_the_smallest_and_the_largest(differences):
    found = interval(differences)
    if found.low is None:
        assert found.remark == "no interval: all differences are equal"
    else:
        assert min(differences) - 1e-9 <= found.low <= found.high <= max(differences) + 1e-9


@pytest.mark.parametrize("n", [0, 1, 2])
def test_fewer_than_three_differences_have_no_interval(n):
    found = interval([0.1, 0.2][:n])

    assert (found.low, found.high, found.method) == (None, None, None)
    assert found.remark == f"no interval: {n} of the 3 victims it needs"


def test_few_differences_get_percentiles_and_a_warning():
    assert interval([0.1, 0.2, 0.4]).remark == "too narrow: 3 victims"
    assert interval(list(np.linspace(0, 1, 10))).method == "BCa"


@given(st.lists(accuracies, min_size=3, max_size=9))
def test_mean_and_spread_are_those_of_float64(values):
    found = spread(values)

    assert found.mean == pytest.approx(np.mean(values), abs=1e-12)
    assert found.sd == pytest.approx(np.std(values, ddof=1), abs=1e-12)
    assert found.low <= found.mean <= found.high


def test_three_seeds_have_the_interval_of_student():
    found = spread([1.0, 2.0, 3.0])

    assert found.high - found.mean == pytest.approx(4.302653 / math.sqrt(3), rel=1e-6)


def test_two_seeds_have_a_spread_and_no_interval():
    assert spread([0.1, 0.3]).low is None
    assert spread([0.1]).sd is None
    assert spread([]) is None


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=8))
def test_a_point_is_on_the_front_unless_another_beats_it(points):
    for point, on in zip(points, front(points), strict=True):
        beaten = [p for p in points if p[0] >= point[0] and p[1] <= point[1] and p != point]
        assert on == (not beaten)
