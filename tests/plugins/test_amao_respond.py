"""Who is flipped and who is replayed, against a plain reference; batches cut anywhere."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ringfence.answers import answer_format
from ringfence.testing import check_responder, tiny_experiment
from ringfence.types import Queries, Verdict
from ringfence_amao import Amao
from ringfence_amao.phash import phash
from ringfence_amao.stopping import Group, advance, exact, paper, slacks

CLASSES = 4


def chance(period, reject):
    """Return how often the best of a random order is taken, by the formula of the paper."""
    if reject == 0:
        return 1 / period
    return reject / period * sum(1 / i for i in range(reject, period))


@pytest.mark.parametrize(("period", "reject", "printed"), [(8, 3, 1), (16, 6, 4), (32, 12, 10)])
def test_the_exact_rule_is_the_best_and_the_paper_s_lets_fewer_pass(period, reject, printed):
    best = max(range(period), key=lambda passed: chance(period, passed))

    assert exact(period) == best == reject
    assert paper(period) == printed


@pytest.mark.parametrize("period", [2, 3, 5, 16])
def test_every_group_has_one_flip_and_the_best_is_taken_as_often_as_the_formula_says(period):
    random, reject, best = np.random.default_rng(period), exact(period), 0
    trials = 4000
    group = Group()
    for _ in range(trials):
        order = random.permutation(period) / period
        flips = [place for place in range(period) if advance(group, order[place], period, reject)]
        assert len(flips) == 1
        best += order[flips[0]] == 0
    expected = chance(period, reject)

    assert group.number == trials
    assert abs(best / trials - expected) < 4 * math.sqrt(expected * (1 - expected) / trials)


@settings(deadline=None)
@given(st.lists(st.floats(-800, 800), min_size=2, max_size=12))
def test_the_slack_is_one_minus_the_gap_and_never_saturates(logits):
    probs = torch.tensor([logits], dtype=torch.float64).softmax(-1)
    (slack,) = slacks(probs.tolist())

    assert slack == pytest.approx((1 - (probs.max() - probs.min())).item(), abs=1e-12)
    assert 0 <= slack <= 1 + 1e-12


def test_answers_that_float32_calls_certain_are_still_told_apart():
    logits = torch.tensor([[20.0, 0, 0], [25.0, 0, 0], [40.0, 0, 0]]).double()
    first, second, third = slacks(logits.softmax(-1).tolist())

    assert logits.float().softmax(-1).amax(-1).unique().tolist() == [1.0]
    assert first > second > third > 0


class Reference:
    """AMAO's response, one query at a time, with nothing clever."""

    def __init__(self, period, reject, radius, same_class, everybody):
        self.period, self.reject, self.radius = period, reject, radius
        self.same_class, self.everybody = same_class, everybody
        self.groups, self.done, self.records = {}, {}, {}

    def answer(self, client, hash_, probs):
        record = self.records.setdefault("" if self.everybody else client, [])
        label = int(np.argmax(probs))
        near = [
            (distance(hash_, other), place)
            for place, (other, own, _) in enumerate(record)
            if own == label or not self.same_class
        ]
        if near and min(near)[0] <= self.radius:
            return "replayed", record[min(near)[1]][2]
        if not self.flips(client, 1 - (probs.max() - probs.min())):
            return "", probs
        swapped, least = probs.copy(), int(np.argmin(probs))
        swapped[[label, least]] = swapped[[least, label]]
        record.append((hash_, label, swapped))
        return "flipped", swapped

    def flips(self, client, slack):
        group = self.groups.setdefault(client, [])
        group.append(slack)
        flip = False
        if len(group) > self.reject and not self.done.get(client):
            beats = slack < min(group[: self.reject], default=2.0)
            flip = self.done[client] = beats or len(group) == self.period
        if len(group) == self.period:
            group.clear()
            self.done[client] = False
        return flip


def distance(left, right):
    return ((int(left) ^ int(right)) & (2**64 - 1)).bit_count()


def stream(seed, size):
    """Return float images with look-alikes among them, clients, and soft labels."""
    random = np.random.default_rng(seed)
    base = random.random((6, 1, 8, 8))
    images = base[random.integers(0, 6, size)] + random.normal(0, 0.08, (size, 1, 8, 8))
    images = torch.from_numpy(images).clamp(0, 1).float()
    clients = tuple(f"client-{n}" for n in random.integers(0, 3, size))
    probs = torch.from_numpy(random.dirichlet(np.ones(CLASSES) * 0.5, size))
    return images, clients, probs


def served(plugin, images, clients, probs, sizes):
    """Return answers and what was marked; client-2 is never suspected."""
    run = tiny_experiment().for_defense("it")
    responder = plugin.make_responder(run, tiny_experiment().new_model().eval())
    counts, answers, start = {}, [], 0
    for size in sizes:
        rows = slice(start, start + size)
        own, start = clients[rows], start + size
        first = []
        for client in own:
            first.append(counts.setdefault(client, 0))
            counts[client] += 1
        queries = Queries(images[rows], own, torch.tensor(first))
        guilty = torch.tensor([client != "client-2" for client in own])
        with run.store._store.batch(own):
            verdict = Verdict("any", guilty.double(), guilty, guilty)
            answers.append(responder.respond(queries, probs[rows], [verdict]))
            run.store._store.settle(queries, answers[-1])
    return torch.cat(answers), run.store.ledger, responder.report()


@settings(deadline=None, max_examples=60)
@given(
    st.integers(0, 2**32 - 1),
    st.integers(2, 6),
    st.sampled_from([-1, 0, 8, 20, 30]),
    st.booleans(),
    st.booleans(),
    st.integers(1, 50),
)
def test_it_is_the_plain_reference_in_any_batches(seed, period, radius, same, everybody, cut):
    images, clients, probs = stream(seed, 60)
    plugin = Amao(
        period=period,
        rule="exact",
        replay=radius >= 0,
        similarity=1 - max(radius, 0.5) / 64,
        same_class=same,
        scope="all" if everybody else "client",
        driven_by=("any",),
    )
    radius = radius if radius < 1 else math.floor(max(radius, 0.5) + 1e-9)
    reference = Reference(period, exact(period), radius, same, everybody)
    kinds, expected = [], []
    for hash_, client, row in zip(phash(images).tolist(), clients, probs.numpy(), strict=True):
        kind, answer = ("", row) if client == "client-2" else reference.answer(client, hash_, row)
        kinds.append(kind)
        expected.append(answer)

    answers, ledger, report = served(plugin, images, clients, probs, (cut, 60 - cut))

    np.testing.assert_array_equal(answers.numpy(), np.stack(expected))
    for kind in ("flipped", "replayed"):
        assert report[kind] == kinds.count(kind) == len(ledger.pairs(kind=kind))
    for client in ("client-0", "client-1"):
        own = [told == (client, "flipped") for told in zip(clients, kinds, strict=True)]
        found = ledger.pairs(client=client, kind="flipped").images
        assert torch.equal(found, images[own]) or not any(own)


def test_a_hard_label_becomes_the_least_likely_class():
    images, clients, probs = stream(0, 60)
    plugin = Amao(period=4, replay=False, driven_by=("any",))
    answers, ledger, _ = served(plugin, images, clients, probs, (60,))
    changed = (answers != probs).any(-1)

    assert changed.sum() == len(ledger.pairs(kind="flipped")) > 5
    hard = answer_format("hard")(answers)[changed].argmax(-1)
    assert torch.equal(hard, probs[changed].argmin(-1))
    assert torch.equal(answers.sort(-1).values, probs.sort(-1).values)


def test_refused_answers_are_no_part_of_a_group_and_replayed_to_nobody():
    images, clients, probs = stream(3, 60)
    silent = torch.arange(60) % 3 == 0
    plugin = Amao(period=2, scope="all", similarity=0.4, same_class=False, driven_by=("any",))
    rows = silent.logical_not().nonzero().flatten().tolist()

    mixed, _, told = served(plugin, images, clients, probs.masked_fill(silent[:, None], 0), (60,))
    alone, _, expected = served(
        plugin, images[rows], tuple(clients[row] for row in rows), probs[rows], (len(rows),)
    )

    assert torch.equal(mixed[rows], alone)
    assert told == expected
    assert not mixed[silent].any()


def test_a_client_that_goes_away_blocks_nobody():
    images, clients, probs = stream(1, 60)
    half = [client == "client-1" for client in clients[:30]] + [False] * 30
    mixed = tuple("client-1" if gone else "client-0" for gone in half)
    stay = torch.tensor([not gone for gone in half])
    plugin = Amao(period=3, driven_by=("any",))

    with_it, _, _ = served(plugin, images, mixed, probs, (60,))
    left = int(stay.sum())
    without, _, _ = served(plugin, images[stay], ("client-0",) * left, probs[stay], (left,))

    assert torch.equal(with_it[stay], without)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"preset": "paper"},
        {"period": 2, "rule": "random", "label": "random", "same_class": False},
        {"scope": "all", "period": 2, "similarity": 0.4},
        {"replay": False, "period": 3},
        {"always": True, "hash": "mean"},
        {"hash": "imagehash", "period": 2},
    ],
    ids=str,
)
def test_it_keeps_the_contract_of_responders(options):
    check_responder(Amao(driven_by=("any",), **options))
