"""Thresholds against a search that looks at every one, and what a rehearsed attack sends."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st

from ringfence.calibration import (
    TEMPERATURES,
    best_cut,
    best_temperature,
    cut_at_rate,
    malicious_images,
    rehearsal_key,
)
from ringfence.confidence import max_softmax, negative_energy
from ringfence.errors import BadOption, UnknownName
from ringfence.images import as_float
from ringfence.rehearsal import Rehearsal
from ringfence.testing import tiny_experiment
from ringfence.types import Queries

#: few values, so that there are ties, and some that only float64 tells apart
some = st.sampled_from([0.1, 0.25, 0.5, 0.5 + 1e-12, 0.9, 1 - 1e-16, 1.0])
confidences = st.lists(st.one_of(some, st.floats(0, 1)), min_size=1, max_size=30)


def doubles(values):
    return torch.tensor(values, dtype=torch.float64)


def balanced(threshold, benign, malicious):
    caught = sum(value <= threshold for value in malicious) / len(malicious)
    blamed = sum(value <= threshold for value in benign) / len(benign)
    return (caught + 1 - blamed) / 2


@settings(deadline=None)
@given(confidences, confidences)
def test_the_cut_is_the_best_that_a_search_finds(benign, malicious):
    values = sorted({*benign, *malicious})
    found = {value: balanced(value, benign, malicious) for value in [-1.0, *values]}
    best = max(found.values())

    cut = best_cut(doubles(benign), doubles(malicious))

    assert cut.accuracy == pytest.approx(best, abs=1e-12)
    assert balanced(cut.threshold, benign, malicious) == pytest.approx(best, abs=1e-12)
    flagged = [sum(v <= t for v in values) for t, own in found.items() if own > best - 1e-12]
    assert sum(v <= cut.threshold for v in values) == min(flagged), "the fewest are flagged"


def test_the_threshold_lies_in_the_middle_of_the_gap():
    cut = best_cut(torch.tensor([0.9, 0.8, 1.0]), torch.tensor([0.2, 0.4]))

    assert cut.threshold == pytest.approx(0.6)
    assert cut.accuracy == 1


def test_confidences_that_float32_cannot_tell_apart_are_told_apart():
    benign = torch.ones(5).double() - 1e-10
    malicious = torch.ones(5).double() - 2e-10

    assert best_cut(benign, malicious).accuracy == 1


def test_neighbouring_numbers_are_told_apart():
    below = np.nextafter(1.0, 0.0)  # the middle of the two is rounded to 1

    assert best_cut(doubles([1.0]), doubles([below])).threshold == below


def test_where_malicious_queries_are_the_surer_ones_nothing_is_flagged():
    cut = best_cut(doubles([0.1, 0.2]), doubles([0.8, 0.9]))

    assert cut.threshold < 0.1
    assert cut.accuracy == 0.5


@settings(deadline=None)
@given(confidences, st.sampled_from([0.0, 0.05, 0.1, 1 / 3, 0.5, 0.99]))
def test_the_cut_at_a_rate_is_the_largest_that_keeps_it(benign, rate):
    threshold = cut_at_rate(doubles(benign), rate)

    assert sum(value <= threshold for value in benign) <= rate * len(benign) + 1e-9
    larger = min(value for value in benign if value > threshold)
    assert sum(value <= larger for value in benign) > rate * len(benign) + 1e-9


@pytest.mark.parametrize(
    ("benign", "malicious"), [([], [0.5]), ([0.5], []), ([0.5], [float("nan")])]
)
def test_one_kind_of_queries_is_nothing_to_calibrate_on(benign, malicious):
    with pytest.raises(BadOption, match="benign and on malicious"):
        best_cut(doubles(benign), doubles(malicious))


def scores(count, scale, seed):
    random = np.random.default_rng(seed)
    return torch.from_numpy(random.normal(size=(count, 5)) * scale)


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 1000))
def test_the_best_temperature_is_the_first_of_the_best(seed):
    benign, malicious = scores(40, 4, seed), scores(30, 2, seed + 1)
    grid = (1.0, 1.1, 1.5, 2.0, 5.0)

    temperature, cut = best_temperature(benign, malicious, grid)

    reached = [best_cut(max_softmax(benign, t), max_softmax(malicious, t)).accuracy for t in grid]
    assert cut.accuracy == max(reached)
    assert temperature == grid[reached.index(max(reached))]


def test_of_equally_good_temperatures_the_smallest_is_taken():
    benign, malicious = torch.eye(5) * 9, torch.eye(5)

    assert best_temperature(benign, malicious)[0] == 1.0


def test_without_a_temperature_there_is_nothing_to_choose():
    with pytest.raises(BadOption, match="temperature"):
        best_temperature(scores(2, 1, 0), scores(2, 1, 1), ())


def test_the_grid_is_the_specified_one():
    assert (TEMPERATURES[0], TEMPERATURES[53], TEMPERATURES[-1]) == (1.0, 1.53, 5.0)
    assert len(TEMPERATURES) == 401


@settings(deadline=None)
@given(
    st.integers(0, 10**6), st.sampled_from([1.0, 1.53, 5.0]), st.sampled_from([1.0, 30.0, 500.0])
)
def test_confidences_are_those_of_the_formulas_in_any_batch(seed, temperature, scale):
    logits = scores(12, scale, seed).float()
    exact = logits.double().numpy()
    shifted = np.exp(exact - exact.max(1, keepdims=True))
    energy = exact.max(1) + np.log(shifted.sum(1))
    odds = np.exp((exact - exact.max(1, keepdims=True)) / temperature)

    found = max_softmax(logits, temperature), negative_energy(logits)

    np.testing.assert_allclose(found[0], 1 / odds.sum(1), rtol=1e-12)
    np.testing.assert_allclose(found[1], energy, rtol=1e-12, atol=1e-12)
    for size in (1, 5):
        parts = [(max_softmax(p, temperature), negative_energy(p)) for p in logits.split(size)]
        for whole, split in zip(found, zip(*parts, strict=True), strict=True):
            assert torch.equal(torch.cat(split), whole)


def rehearsing(sent):
    """A defender's run whose rehearsed attack has the first four training images as seeds."""
    run = tiny_experiment().for_defense("it")
    seeds = run.train.images[:4]
    queries = Queries(sent, ("it",) * len(sent), torch.arange(len(sent)))
    asked = []

    def rehearse(run, name, victim, budget, pool):
        asked.append((name, budget, pool))
        return Rehearsal(victim, (queries,), seeds)

    return evolve(run, rehearse=rehearse), seeds, asked


def test_seeds_are_not_malicious_and_the_rest_is_drawn_at_random():
    made = torch.rand(20, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    seeds = as_float(tiny_experiment().train.images[:4])
    run, _, asked = rehearsing(torch.cat([seeds, made]))

    few = malicious_images(run, run.new_model(), "it", 24, "outliers", 10)
    all = malicious_images(run, run.new_model(), "it", 24, "outliers", 100)

    assert asked == [("it", 24, "outliers")] * 2
    assert len(few) == 10
    assert sorted(map(torch.Tensor.sum, all)) == sorted(map(torch.Tensor.sum, made))
    assert not torch.equal(few, made[:10])


def test_an_attack_that_sends_its_seeds_alone_is_refused():
    seeds = as_float(tiny_experiment().train.images[:4])
    run, _, _ = rehearsing(seeds)

    with pytest.raises(BadOption, match="sent seeds and nothing of its own"):
        malicious_images(run, run.new_model(), "it", 4, "outliers", 10)


def test_the_rehearsal_hands_over_the_seeds_that_it_gave():
    run = tiny_experiment().for_defense("it")

    rehearsal = run.rehearse_attack("toy_random_queries", run.new_model(), 10, "outliers")

    assert rehearsal.seeds.shape == (96, 1, 8, 8), "100 at most, and no more than there are"


def test_an_edited_attack_is_another_part_of_a_key():
    assert rehearsal_key("knockoffnet") != rehearsal_key("toy_random_queries")
    with pytest.raises(UnknownName, match="knockoffnet"):
        rehearsal_key("knokcoffnet")
