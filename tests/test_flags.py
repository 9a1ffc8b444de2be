"""Suspicion against one that counts query by query, in any batches, for any clients."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from ringfence.flags import BinomialNoise, FixedShare, Flags, Suspicion, highest_rate
from ringfence.memorystore import MemoryStore
from ringfence.types import Queries


def judged(suspicion, store, clients, flags, sizes):
    """Return the verdicts on a stream that is cut into batches of ``sizes``, the rest at once."""
    numbers, found, start = dict.fromkeys(clients, 0), [], 0
    for size in [*sizes, len(clients)]:
        own = clients[start : start + size]
        if not own:
            break
        first = []
        for client in own:
            first.append(numbers[client])
            numbers[client] += 1
        images = torch.zeros(len(own), 1, 1, 1)
        with store.batch(own):
            queries = Queries(images, tuple(own), torch.tensor(first))
            found.append(suspicion.judge(queries, torch.tensor(flags[start : start + size])))
        start += size
    return torch.cat(found).tolist()


def one_by_one(clients, flags, limits, least, window):
    history, guilty, found = {}, set(), []
    for client, flag in zip(clients, flags, strict=True):
        own = history.setdefault(client, [])
        own.append(flag)
        seen = own[-window:] if window else own
        if len(seen) >= least and sum(seen) > limits(np.array([len(seen)]))[0]:
            guilty.add(client)
        found.append(client in guilty)
    return found


@st.composite
def streams(draw):
    size = draw(st.integers(1, 120))
    clients = draw(st.lists(st.sampled_from("abcde"), min_size=size, max_size=size))
    rate = draw(st.sampled_from([0.0, 0.1, 0.5, 1.0]))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    return clients, (random.random(size) < rate).tolist()


limit_kinds = st.sampled_from(
    [FixedShare(0.1), FixedShare(0.5), BinomialNoise(0.1, 0.01), BinomialNoise(0.3, 1e-4)]
)


@settings(deadline=None, max_examples=200)
@given(
    streams(),
    limit_kinds,
    st.integers(1, 20),
    st.sampled_from([None, 20, 33]),
    st.lists(st.integers(1, 30), max_size=20),
)
def test_it_counts_as_one_who_counts_query_by_query(stream, limits, least, window, sizes):
    clients, flags = stream
    store = MemoryStore()
    suspicion = Suspicion(store.of("it"), limits, least, window)

    found = judged(suspicion, store, clients, flags, sizes)

    assert found == one_by_one(clients, flags, limits, least, window)
    for client, state in store.of("it").states(Flags).items():
        own = [flag for name, flag in zip(clients, flags, strict=True) if name == client]
        assert (state.seen, state.flagged) == (len(own), sum(own))


@pytest.mark.parametrize("window", [None, 60])
def test_a_store_that_was_dumped_and_loaded_goes_on_counting(window):
    random = np.random.default_rng(0)
    clients, flags = list("ab" * 100), (random.random(200) < 0.3).tolist()
    whole, store = MemoryStore(), MemoryStore()
    limits = FixedShare(0.3)
    expected = judged(Suspicion(whole.of("it"), limits, 50, window), whole, clients, flags, [])

    suspicion = Suspicion(store.of("it"), limits, 50, window)
    before = judged(suspicion, store, clients[:110], flags[:110], [])
    store.load(store.dump())
    after = judged(suspicion, store, clients[110:], flags[110:], [])

    assert before + after == expected


def test_a_failed_batch_leaves_no_trace():
    store = MemoryStore()
    suspicion = Suspicion(store.of("it"), FixedShare(0.1), 1)
    queries = Queries(torch.zeros(2, 1, 1, 1), ("a", "a"), torch.arange(2))

    with pytest.raises(ZeroDivisionError), store.batch(("a",)):
        suspicion.judge(queries, torch.tensor([True, True]))
        raise ZeroDivisionError

    assert store.of("it").states(Flags) == {}


def test_nobody_is_suspected_before_the_fiftieth_query():
    store = MemoryStore()
    found = judged(Suspicion(store.of("it"), FixedShare(0.1)), store, ["a"] * 60, [True] * 60, [7])

    assert found == [False] * 49 + [True] * 11


def test_a_share_that_is_just_reached_is_not_exceeded():
    counts = np.arange(1, 2000)
    for share in (0.1, 0.29, 1 / 3, 0.07):
        limits = FixedShare(share)(counts)

        assert bool((limits / counts <= share + 1e-12).all())
        assert bool(((limits + 1) / counts > share).all())


@pytest.mark.parametrize(("rate", "tail"), [(0.02, 1e-4), (0.2, 0.01), (1.0, 0.01)])
def test_the_noise_of_a_benign_client_exceeds_its_limit_as_rarely_as_said(rate, tail):
    queries = np.array([50, 3, 5000, 51, 700])
    limits = BinomialNoise(rate, tail)(queries)

    assert bool((binom.sf(limits, queries, rate) <= tail).all())
    assert bool((binom.sf(limits - 1, queries, rate) > tail).all()), "and no limit is too high"


def test_limits_are_the_same_whatever_was_asked_before():
    small, large = BinomialNoise(0.1, 1e-4), BinomialNoise(0.1, 1e-4)
    small(np.array([10]))
    large(np.array([100_000]))
    queries = np.array([60, 1500, 100_000])

    assert small(queries).tolist() == large(queries).tolist()


def test_few_queries_leave_a_higher_rate_possible():
    rates = [highest_rate(count // 10, count) for count in (50, 200, 3000)]

    assert 0.25 > rates[0] > rates[1] > rates[2] > 0.1
    assert highest_rate(0, 100) == pytest.approx(1 - 0.01 ** (1 / 100))
    assert highest_rate(5, 5) == 1
    assert binom.cdf(20, 200, rates[1]) == pytest.approx(0.01)  # what the bound means


def test_few_benign_clients_are_ever_suspected():
    """2,000 clients of 500 queries at the very rate that the limits are made for."""
    random = np.random.default_rng(0)
    store, clients = MemoryStore(), [f"c{number}" for number in range(2000)]
    suspicion = Suspicion(store.of("it"), BinomialNoise(0.1, 1e-4))
    for start in range(0, 2000, 500):
        own = clients[start : start + 500] * 500
        judged(suspicion, store, own, (random.random(len(own)) < 0.1).tolist(), [])

    suspected = sum(state.suspected for state in store.of("it").states(Flags).values())
    assert suspected <= 8  # at most 2 are expected; docs/plugins/ood.md
