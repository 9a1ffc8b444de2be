"""The adaptive strategy: bandit and rewards against plain float64 loops, and that it learns."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from attrs import define, evolve, field
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from ringfence.testing import tiny_experiment
from ringfence_knockoffnet import KnockoffNet, rewards
from ringfence_knockoffnet.bandit import Bandit
from ringfence_knockoffnet.clusters import clusters
from ringfence_knockoffnet.rewards import Baseline, Window
from ringfence_knockoffnet.stock import Stock, ranks

seeds = st.integers(0, 999)


def stream(seed=0):
    return torch.Generator().manual_seed(seed)


def odds_by_hand(preferences, possible):
    highest = max(h for h, p in zip(preferences, possible, strict=True) if p)
    weights = [
        math.exp(h - highest) if p else 0.0 for h, p in zip(preferences, possible, strict=True)
    ]
    return [weight / sum(weights) for weight in weights]


@settings(deadline=None)
@given(st.integers(1, 6), st.integers(1, 30), seeds)
def test_one_answer_at_a_time_is_the_rule_of_the_paper(number, steps, seed):
    random = np.random.default_rng(seed)
    bandit, preferences, drawn = Bandit(number), [0.0] * number, [0] * number
    for _ in range(steps):
        possible = random.random(number) < 0.7
        action, advantage = int(random.integers(number)), float(random.normal(scale=3))
        possible[action] = True
        odds = bandit.policy(torch.from_numpy(possible))
        expected = odds_by_hand(preferences, possible)
        np.testing.assert_allclose(odds, expected, rtol=1e-12, atol=0)

        bandit.update(torch.tensor([action]), torch.tensor([advantage], dtype=torch.float64), odds)
        drawn[action] += 1
        alpha = 1 / drawn[action]
        for z in range(number):
            own = 1.0 if z == action else 0.0
            preferences[z] += alpha * advantage * (own - expected[z])
        np.testing.assert_allclose(bandit._preferences, preferences, rtol=1e-9, atol=1e-12)


@settings(deadline=None)
@given(st.integers(1, 6), st.lists(st.integers(1, 40), min_size=1, max_size=5), seeds)
def test_a_batch_adds_up_its_steps_at_the_odds_of_its_start(number, sizes, seed):
    random = np.random.default_rng(seed)
    bandit, preferences, drawn = Bandit(number), np.zeros(number), np.zeros(number)
    for size in sizes:
        actions, advantages = random.integers(number, size=size), random.normal(size=size)
        odds = np.array(odds_by_hand(preferences, [True] * number))
        everything = torch.ones(number, dtype=torch.bool)
        bandit.update(
            torch.from_numpy(actions), torch.from_numpy(advantages), bandit.policy(everything)
        )
        for action, advantage in zip(actions, advantages, strict=True):
            drawn[action] += 1
            preferences += advantage / drawn[action] * (np.eye(number)[action] - odds)
        np.testing.assert_allclose(bandit._preferences, preferences, rtol=1e-9, atol=1e-12)


@settings(deadline=None)
@given(st.lists(st.integers(0, 5), max_size=40))
def test_ranks_count_what_precedes(actions):
    expected = [actions[:n].count(action) for n, action in enumerate(actions)]

    assert ranks(torch.tensor(actions, dtype=torch.int64), 6).tolist() == expected


@settings(deadline=None)
@given(st.lists(st.integers(0, 3), min_size=1, max_size=40), st.integers(1, 20), seeds)
def test_every_image_is_taken_once_and_by_its_own_action(actions, batch, seed):
    actions = torch.tensor(actions).unique(return_inverse=True)[1]
    stock, bandit, random = Stock(actions, stream(seed)), Bandit(int(actions.max()) + 1), stream(1)
    bandit.update(torch.tensor([0]), torch.tensor([5.0]).double(), bandit._preferences)
    for _ in range(2):
        taken = []
        while left := int(stock.left.sum()):
            drawn = bandit.draw(stock.left, min(batch, left), random)
            rows = stock.take(drawn)
            assert torch.equal(actions[rows], drawn)
            taken += rows.tolist()
        assert sorted(taken) == list(range(len(actions)))
        stock.refill()


def test_actions_are_drawn_by_the_odds():
    bandit = Bandit(3)
    bandit._preferences = torch.tensor([0.0, math.log(3), math.log(6)]).double()
    drawn = bandit.draw(torch.full((3,), 10**6), 20_000, stream()).bincount() / 20_000
    rest = bandit.draw(torch.tensor([10**6, 10**6, 0]), 20_000, stream()).bincount() / 20_000

    np.testing.assert_allclose(drawn, [0.1, 0.3, 0.6], atol=0.015)
    np.testing.assert_allclose(rest, [0.25, 0.75], atol=0.015)


def test_preferences_far_apart_do_not_overflow():
    bandit = Bandit(3)
    bandit._preferences = torch.tensor([-1e9, 0.0, 1e9]).double()

    assert bandit.policy(torch.ones(3, dtype=torch.bool)).tolist() == [0, 0, 1]
    assert bandit.policy(torch.tensor([True, True, False])).tolist() == [0, 1, 0]


probabilities = st.integers(2, 5).flatmap(
    lambda k: st.lists(st.lists(st.floats(0, 1), min_size=k, max_size=k), min_size=1, max_size=12)
)


@settings(deadline=None)
@given(probabilities)
def test_rewards_are_those_of_a_loop(rows):
    answers = torch.tensor(rows, dtype=torch.float64)
    labels = rewards.as_labels(answers)
    mean = labels.mean(0)
    logits = torch.linspace(-3, 3, answers.numel()).view_as(answers)
    for n, row in enumerate(rows):
        total = sum(row)
        y = [p / total if total > 0 else 0.0 for p in row]
        second, first = sorted(y)[-2:]
        z = logits[n].double().tolist()
        highest = max(z)
        log_sum = highest + math.log(sum(math.exp(v - highest) for v in z))
        surprise = -sum(p * (v - log_sum) for p, v in zip(y, z, strict=True))
        news = sum(max(0.0, p - m) for p, m in zip(y, mean.tolist(), strict=True))
        np.testing.assert_allclose(labels[n], y, rtol=1e-12)
        np.testing.assert_allclose(rewards.certainty(labels)[n], first - second, atol=1e-12)
        np.testing.assert_allclose(rewards.diversity(labels, mean)[n], news, atol=1e-12)
        np.testing.assert_allclose(rewards.loss(labels, logits)[n], surprise, atol=1e-9)


@settings(deadline=None)
@given(
    st.lists(st.lists(st.floats(-50, 50), min_size=2, max_size=2), min_size=1, max_size=25),
    st.integers(1, 6),
)
def test_advantages_one_at_a_time_are_those_of_a_loop(rows, window):
    baseline = Baseline(Window(window))
    for n, row in enumerate(rows):
        found = baseline.advantages(torch.tensor([row], dtype=torch.float64))
        expected = 0.0
        for kind, value in enumerate(row):
            seen = [other[kind] for other in rows[: n + 1]]
            past = [other[kind] for other in rows[max(0, n - window) : n]] or [value]
            low, high = min(seen), max(seen)
            if high - low > rewards.FLAT:
                scaled = [(p - low) / (high - low) for p in past]
                expected += (value - low) / (high - low) - sum(scaled) / len(scaled)
        np.testing.assert_allclose(found, [expected], atol=1e-9)
        assert abs(found.item()) <= 2 + 1e-9


HARD = torch.eye(4)[[0, 0, 1, 3]]
STRANGE = {
    "one-hot": HARD,
    "refused": torch.zeros(4, 4),
    "half refused": HARD * torch.tensor([1.0, 0, 1, 0])[:, None],
    "logits": torch.tensor([[-40.0, 1e30, 3, 2]] * 4),
    "negative": -HARD,
    "tiny": HARD * 1e-38,
    "uniform": torch.full((4, 4), 0.25),
    "top-k": torch.tensor([[0.6, 0.2, 0, 0]] * 4),
}


@pytest.mark.parametrize("answers", STRANGE.values(), ids=STRANGE)
@pytest.mark.parametrize("wild", [1.0, 1e30, float("inf"), float("nan")])
def test_strange_answers_and_a_substitute_that_diverged_leave_the_policy_finite(answers, wild):
    labels, baseline, window, bandit = (
        rewards.as_labels(answers),
        Baseline(Window(3)),
        Window(3),
        Bandit(2),
    )
    for turn in range(4):
        logits = torch.randn(4, 4, generator=stream(turn)) * wild
        kinds = [rewards.certainty(labels), rewards.diversity(labels, window.mean(labels))]
        worth = torch.stack([*kinds, rewards.loss(labels, logits)], 1)
        advantages = baseline.advantages(worth)
        odds = bandit.policy(torch.ones(2, dtype=torch.bool))
        bandit.update(torch.tensor([0, 1, 1, 0]), advantages, odds)

        assert worth.isfinite().all()
        assert (worth[:, :2] >= 0).all()
        assert (worth[:, :2] <= 1 + 1e-12).all()
        assert advantages.abs().max() <= 3
        assert bandit._preferences.isfinite().all()


def test_a_refusal_earns_nothing():
    labels = rewards.as_labels(torch.tensor([[0.0, 0, 0], [0.2, 0.2, 0.6]]))
    worth = [rewards.certainty(labels), rewards.diversity(labels, torch.tensor([0.3, 0.3, 0.4]))]
    worth.append(rewards.loss(labels, torch.zeros(2, 3)))

    for kind in worth:
        assert kind[0] == 0 < kind[1]


def test_images_that_look_alike_are_one_cluster():
    kinds = torch.randint(0, 256, (5, 1, 8, 8), generator=stream(), dtype=torch.uint8)
    true = torch.arange(200) % 5
    noise = torch.randint(0, 9, (200, 1, 8, 8), generator=stream(1), dtype=torch.uint8)
    found = clusters(kinds[true] // 2 + noise, 5, stream())

    assert found.dtype is torch.int64
    assert len({(a, b) for a, b in zip(found.tolist(), true.tolist(), strict=True)}) == 5
    assert torch.equal(found, clusters(kinds[true] // 2 + noise, 5, stream()))


@pytest.mark.parametrize(
    ("pool", "most"),
    [
        (torch.rand(3, 1, 8, 8), 3),
        (torch.zeros(50, 1, 8, 8), 1),
        (torch.rand(40, 3, 12, 5), 30),
        (torch.rand(2, 1, 3, 3), 2),
    ],
)
def test_clusters_are_numbered_without_gaps_however_odd_the_pool(pool, most):
    found = clusters(pool, 30, stream())

    assert found.shape == (len(pool),)
    assert found.unique().tolist() == list(range(int(found.max()) + 1))
    assert len(found.unique()) <= most


@define(eq=False)
class Room:
    """An oracle whose answers say something for one kind of image only; it notes the kinds."""

    worth: int
    remaining: int = 600
    asked: list = field(factory=list)
    num_classes: int = 4
    clients: tuple = ("a",)

    def query(self, images, clients=None):
        kinds = (images[:, 0, 0, 0] * 255).round().long()
        self.asked += kinds.tolist()
        self.remaining -= len(images)
        noise = torch.rand(len(images), 4, generator=stream(len(self.asked)))
        sure = (noise * 20).softmax(-1)
        return torch.where((kinds == self.worth)[:, None], sure, 0.25)


def kinds_and_run(classes=True):
    """Return a run whose pool has four kinds of images, told by their first pixel."""
    kinds = torch.arange(2000) % 4
    pool = torch.zeros(2000, 1, 8, 8, dtype=torch.uint8)
    pool[:, 0, 0, 0] = kinds
    pool[:, 0, 4:] = (60 * kinds)[:, None, None].to(torch.uint8)
    run = tiny_experiment().for_attack("it")
    return evolve(run, pool=pool, pool_labels=kinds * 7 if classes else None)


@pytest.mark.parametrize("kind", ["certainty", "diversity", "certainty,diversity,loss"])
@pytest.mark.parametrize("classes", [True, False])
def test_what_pays_is_asked_more_often(kind, classes):
    options = {"rewards": tuple(kind.split(",")), "clusters": None if classes else 4}
    plugin = KnockoffNet(epochs=1, strategy="adaptive", query_batch=20, **options)
    for worth in (0, 3):
        oracle, attack = Room(worth), plugin.make_attack(kinds_and_run(classes))
        attack.extract(oracle)

        assert oracle.asked.count(worth) > 300  # 150 without a policy
        assert attack.report()["actions"] == 4
        assert 0 <= attack.report()["policy_entropy"] < 0.9 * math.log(4)


class Known(nn.Module):
    """Starts with the knowledge of what most images are."""

    def __init__(self):
        super().__init__()
        self.bias = nn.Parameter(torch.tensor([3.0, 0, 0, 0]))

    def forward(self, images):
        return self.bias.expand(len(images), 4)


@define(eq=False)
class Odd(Room):
    """Answers class 3 for one kind of image, class 0 for the others."""

    def query(self, images, clients=None):
        super().query(images)
        odd = torch.tensor(self.asked[-len(images) :]) == self.worth
        return torch.eye(4)[torch.where(odd, 3, 0)]


@pytest.mark.parametrize("worth", [0, 3])
def test_what_surprises_the_substitute_is_asked_more_often_while_it_does(worth):
    counts = []
    for lr in (1e-9, 1.0):
        oracle, run = Odd(worth), evolve(kinds_and_run(), new_model=Known)
        plugin = KnockoffNet(
            epochs=1, strategy="adaptive", query_batch=20, rewards=("loss",), lr=lr
        )
        plugin.make_attack(run).extract(oracle)
        counts.append(oracle.asked.count(worth))

    assert counts[0] > 300  # 150 without a policy
    assert counts[1] < counts[0]  # as it would not be if nothing were learnt alongside


def test_without_a_difference_the_policy_stays_uniform():
    attack = KnockoffNet(epochs=1, strategy="adaptive", rewards=("certainty",)).make_attack(
        kinds_and_run()
    )
    attack.extract(Room(worth=9))

    assert attack.report()["policy_entropy"] == pytest.approx(math.log(4))


def test_a_given_number_of_clusters_stands_in_for_the_classes_of_the_pool():
    run = kinds_and_run()
    for number, actions in ((None, 4), (2, 2)):
        attack = KnockoffNet(epochs=1, strategy="adaptive", clusters=number).make_attack(run)
        attack.extract(Room(worth=0))

        assert attack.report()["actions"] == actions


def test_the_substitute_that_is_returned_never_saw_the_images_online():
    made, run = [], kinds_and_run()
    new = run.new_model
    run = evolve(run, new_model=lambda: made.append(new()) or made[-1])
    attack = KnockoffNet(epochs=1, strategy="adaptive").make_attack(run)

    assert attack.extract(Room(worth=0)) is made[-1]
    assert len(made) == 2


def test_the_same_seed_asks_the_same_images():
    asked = []
    for _ in range(2):
        oracle = Room(worth=1)
        torch.manual_seed(0)
        KnockoffNet(epochs=1, strategy="adaptive").make_attack(kinds_and_run()).extract(oracle)
        asked.append(oracle.asked)

    assert asked[0] == asked[1]
