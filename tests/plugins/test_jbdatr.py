"""Which images are grown out of which, what is asked and learnt: each against one by hand."""

from __future__ import annotations

import logging
from collections import Counter
from copy import deepcopy

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from attrs import define, evolve, field
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import ringfence_jbdatr.attack
from ringfence import hookimpl, plugins
from ringfence.adversarial import fgsm_random_targets
from ringfence.cache import Cache, Folder
from ringfence.choice import Choice
from ringfence.errors import BadOption, MissingData, UnknownName
from ringfence.images import as_float
from ringfence.pipeline import run_experiment
from ringfence.recipe import Recipe
from ringfence.setup import prepare
from ringfence.testing import check_attack, tiny_experiment, tiny_model
from ringfence.training import fit
from ringfence_jbdatr import JbdaTr
from ringfence_jbdatr.growth import Growth, some

CLASSES, SEEDS = 4, 8


def stream(seed=0):
    return torch.Generator().manual_seed(seed)


# Growth


@settings(deadline=None)
@given(
    st.integers(1, 12),
    st.integers(0, 60),
    st.booleans(),
    st.integers(1, 4),
    st.integers(0, 5),
    st.integers(0, 300),
    st.one_of(st.none(), st.integers(1, 40)),
    st.integers(0, 3),
)
def test_a_round_perturbs_what_it_should(
    seeds, grown, doubling, copies, round, room, reservoir, after
):
    growth = Growth(doubling, copies, reservoir, after)

    parents = growth.parents(seeds + grown, seeds, round, room, stream()).tolist()

    able = seeds + grown if doubling else seeds
    chosen = able if reservoir is None or round < after else min(able, reservoir)
    assert len(parents) == min(chosen * copies, room)
    assert parents == sorted(parents)
    assert set(parents) <= set(range(able))
    assert max(Counter(parents).values(), default=0) <= copies
    if chosen * copies <= room:
        assert set(Counter(parents).values()) == {copies}


def test_a_round_that_does_not_fit_is_cut_at_random():
    drawn = Counter(
        row for seed in range(2000) for row in some(torch.arange(10), 3, stream(seed)).tolist()
    )

    assert min(drawn.values()) > 500  # 600 expected, deviation 20
    assert max(drawn.values()) < 700


# What is asked


@define(eq=False)
class Notes:
    """An oracle that answers by a rule, and writes down what it was asked."""

    rule: object
    remaining: int
    asked: list = field(factory=list)
    num_classes: int = CLASSES
    clients: tuple = ("a",)

    def query(self, images, clients=None):
        assert len(images) <= self.remaining
        assert bool(((images >= 0) & (images <= 1)).all())
        self.remaining -= len(images)
        self.asked.append(images.clone())
        return self.rule(images)

    @property
    def images(self):
        return torch.cat(self.asked)


def soft(images):
    """Answer by what is in the image, so that a mix-up of images and answers shows."""
    return (images.flatten(1)[:, :CLASSES] * 5).softmax(-1)


def hard(images):
    return F.one_hot(soft(images).argmax(-1), CLASSES).float()


def refusing(images):
    """Refuse one image in two or three, seeds among them."""
    return soft(images) * (images.flatten(1)[:, 9:10] > 0.4)


def tiny_run(seed=0):
    return tiny_experiment(budget=1, seed=seed).for_attack("it")


def extracted(plugin, oracle, run=None):
    torch.manual_seed(0)
    attack = plugin.make_attack(run or tiny_run())
    return attack, attack.extract(oracle)


@pytest.mark.parametrize(
    ("options", "budget", "asked", "rounds"),
    [
        ({}, 1000, SEEDS * 2**6, 6),
        ({"rounds": 2}, 1000, SEEDS * 4, 2),
        ({"rounds": 0}, 1000, SEEDS, 0),
        ({}, 100, 100, 4),
        ({}, SEEDS, SEEDS, 0),
        ({}, SEEDS - 3, SEEDS - 3, 0),
        ({}, 0, 0, 0),
        ({"growth": "seeds"}, 1000, SEEDS * 7, 6),
        ({"growth": "seeds"}, 30, 30, 3),
        ({"copies": 3, "rounds": 2}, 1000, SEEDS * 16, 2),
        ({"reservoir": 10, "reservoir_after": 1}, 1000, SEEDS * 2 + 5 * 10, 6),
        ({"rule": "jbda"}, 100, 100, 4),
    ],
    ids=str,
)
def test_rounds_and_budget_end_it_whichever_comes_first(options, budget, asked, rounds):
    oracle = Notes(soft, budget)

    attack, _ = extracted(JbdaTr(epochs=1, query_batch=50, **options), oracle)

    assert budget - oracle.remaining == asked
    report = attack.report()
    assert (report["transfer_set"], report["discarded"]) == (asked, 0)
    assert report["rounds"] == rounds
    assert max(map(len, oracle.asked), default=0) <= 50


def by_hand(plugin, run, oracle, warm=False):
    """Return the substitute of AMAO's Algorithm 1, with the victim's labels in line 6."""
    torch.manual_seed(0)
    eps, training, targets = 64 / 255, run.generator("training"), run.generator("targets")
    images = as_float(run.seeds)
    answers, substitute = oracle.query(images), None
    while True:
        if substitute is None or not warm:
            substitute = run.new_model()
        fit(substitute, images, answers, plugin.recipe, generator=training)
        if not oracle.remaining:
            return substitute
        new = fgsm_random_targets(
            substitute, images, eps, step=1.85 * eps / 8, steps=8, generator=targets
        )
        answers = torch.cat([answers, oracle.query(new)])
        images = torch.cat([images, new])


@pytest.mark.parametrize("rule", [soft, hard, lambda images: soft(images).round(decimals=1)])
@pytest.mark.parametrize("retrain", ["fresh", "warm"])
def test_the_substitute_is_the_one_stolen_by_hand(rule, retrain):
    plugin = JbdaTr(epochs=3, retrain=retrain)
    theirs, ours = Notes(rule, SEEDS * 8), Notes(rule, SEEDS * 8)
    expected = by_hand(plugin, tiny_run(), theirs, retrain == "warm")

    _, substitute = extracted(plugin, ours)

    assert torch.equal(ours.images, theirs.images)
    assert torch.equal(substitute[1].weight, expected[1].weight)
    assert not substitute.training


@pytest.mark.parametrize("growth", ["doubling", "seeds"])
def test_every_image_lies_in_the_ball_of_its_parent_and_knows_its_seed(growth):
    oracle = Notes(hard, SEEDS * 5)
    attack, _ = extracted(JbdaTr(epochs=1, growth=growth, copies=2, eps=0.1, rounds=2), oracle)
    images = oracle.images
    parents = torch.arange(SEEDS).repeat_interleave(2)
    origin = torch.cat([torch.arange(SEEDS), parents])
    if growth == "seeds":
        origin = torch.cat([origin, parents])
    images, labels = images[: len(origin)], hard(images).argmax(-1)

    distances = (images - images[origin]).abs().flatten(1).amax(1)

    assert bool((distances <= 0.1 + 1e-6).all())
    assert bool((distances[SEEDS:] > 0.05).all())
    assert not torch.equal(images[SEEDS : 2 * SEEDS : 2], images[SEEDS + 1 : 2 * SEEDS : 2])
    if growth == "seeds":
        changed = labels[SEEDS:] != labels[origin[SEEDS:]]
        assert attack.report()["label_changed"] == changed.double().mean().item()


def test_labels_are_compared_with_the_seeds_not_the_parents():
    count = iter(range(100))  # seeds are of class 0, then each round of a class of its own

    def by_round(images):
        return F.one_hot(torch.full((len(images),), next(count)), CLASSES).float()

    oracle = Notes(by_round, SEEDS * 4)
    attack, _ = extracted(JbdaTr(epochs=1, rounds=2), oracle)
    assert attack.report()["label_changed"] == 1.0

    count = iter([0, 1, 0])  # children of the second class, grandchildren of the seeds'
    attack, _ = extracted(JbdaTr(epochs=1, rounds=2), Notes(by_round, SEEDS * 4))
    assert attack.report()["label_changed"] == 1 / 3


# Plain JBDA


@settings(deadline=None, max_examples=30)
@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from(["toward", "away"]),
    st.one_of(st.none(), st.integers(1, 3)),
)
def test_jbda_steps_along_the_jacobian_of_the_victims_label(seed, direction, tau):
    start, oracle = tiny_model(), Notes(soft, SEEDS * 8)
    nn.init.normal_(start[1].weight, generator=stream(seed))
    run = evolve(tiny_run(), new_model=lambda: deepcopy(start))
    plugin = JbdaTr(rule="jbda", direction=direction, tau=tau, eps=0.05, lr=1e-12, epochs=1)

    extracted(plugin, oracle, run)

    x, labels = oracle.images.double().flatten(1).numpy(), soft(oracle.images).argmax(-1).numpy()
    w, b = (p.detach().double().numpy() for p in start.parameters())
    for round in range(3):
        old = slice(0, SEEDS * 2**round)
        odds = np.exp(x[old] @ w.T + b)
        odds /= odds.sum(1, keepdims=True)
        own = np.eye(CLASSES)[labels[old]]
        jacobian = odds[own == 1][:, None] * ((own - odds) @ w)  # of the label's probability
        sign = 1 if direction == "toward" else -1
        turned = (-1) ** (round // tau) if tau else 1
        new = np.clip(x[old] + 0.05 * sign * turned * np.sign(jacobian), 0, 1)
        actual = x[SEEDS * 2**round : SEEDS * 2 ** (round + 1)]
        np.testing.assert_allclose(actual, new, rtol=0, atol=1e-6)


def test_noise_is_a_control_without_gradient():
    oracle = Notes(soft, SEEDS * 4)
    extracted(JbdaTr(rule="noise", epochs=1, eps=0.2), oracle)
    images = oracle.images
    parents = torch.cat([images[:SEEDS], images[: SEEDS * 2]])

    moves = images[SEEDS:] - parents
    able = (parents > 0.21) & (parents < 0.79)
    torch.testing.assert_close(moves[able].abs(), torch.full_like(moves[able], 0.2))
    assert bool((moves.abs() <= 0.2 + 1e-6).all())
    assert abs((moves[able] > 0).double().mean() - 0.5) < 0.05  # 900 pixels, deviation 0.017


# What is learnt


def test_refused_images_are_counted_and_left_out():
    oracle, run = Notes(refusing, 64), tiny_run()

    attack, substitute = extracted(JbdaTr(epochs=2, rounds=1, retrain="fresh"), oracle, run)

    images = oracle.images
    told = images.flatten(1)[:, 9] > 0.4
    assert 0 < told[:SEEDS].sum() < SEEDS
    assert len(images) == SEEDS + told[:SEEDS].sum()
    report = attack.report()
    assert report["transfer_set"] == told.sum()
    assert report["discarded"] == len(images) - told.sum()
    assert report["seeds"] == told[:SEEDS].sum()

    torch.manual_seed(0)
    run.new_model()
    training, answers = run.generator("training"), refusing(images)
    seeds = told & (torch.arange(len(told)) < SEEDS)
    fit(tiny_model(), images[seeds], answers[seeds], attack.recipe, generator=training)
    torch.manual_seed(0)
    run.new_model()
    again = run.new_model()
    fit(again, images[told], answers[told], attack.recipe, generator=training)
    assert torch.equal(substitute[1].weight, again[1].weight)


@pytest.mark.parametrize("argmax", [True, False])
def test_a_victim_that_refuses_everything_teaches_nothing(argmax):
    oracle = Notes(lambda images: torch.zeros(len(images), CLASSES), 64)

    attack, substitute = extracted(JbdaTr(epochs=1, argmax=argmax), oracle)

    torch.manual_seed(0)
    assert torch.equal(substitute[1].weight, tiny_model()[1].weight)
    assert attack.report()["transfer_set"] == 0
    assert attack.report()["discarded"] == SEEDS == 64 - oracle.remaining
    assert attack.report()["label_changed"] == 0.0


def test_argmax_learns_from_soft_labels_what_hard_ones_say():
    weights = [
        extracted(plugin, Notes(rule, 50))[1][1].weight
        for plugin, rule in ((JbdaTr(argmax=True), soft), (JbdaTr(), hard))
    ]

    assert torch.equal(*weights)


def recorded(monkeypatch):
    calls = []

    def noted(model, images, answers, recipe, **more):
        calls.append((model, images.dtype, len(images), recipe.epochs))
        return fit(model, images, answers, recipe, **more)

    monkeypatch.setattr(ringfence_jbdatr.attack, "fit", noted)
    return calls


@pytest.mark.parametrize("retrain", ["fresh", "warm"])
def test_the_substitute_is_trained_before_each_round_and_after_the_last(monkeypatch, retrain):
    calls = recorded(monkeypatch)

    extracted(JbdaTr(epochs=2, final_epochs=5, retrain=retrain), Notes(soft, SEEDS * 3))

    assert [size for _, _, size, _ in calls] == [SEEDS, SEEDS * 2, SEEDS * 3]
    assert [epochs for *_, epochs in calls] == [2, 2, 5]
    assert len({id(model) for model, *_ in calls}) == (3 if retrain == "fresh" else 1)


def test_rounded_images_have_256_levels_and_are_kept_in_bytes(monkeypatch):
    calls, oracle = recorded(monkeypatch), Notes(soft, SEEDS * 3)

    extracted(JbdaTr(epochs=1, rounded=True), oracle)

    levels = oracle.images * 255
    torch.testing.assert_close(levels, levels.round(), rtol=0, atol=1e-4)
    assert {dtype for _, dtype, *_ in calls} == {torch.uint8}


@pytest.mark.parametrize(("channels", "eps"), [(1, 64 / 255), (3, 25.5 / 255)])
def test_the_ball_is_pradas_for_grey_and_for_colour(channels, eps):
    run = evolve(tiny_run(), image_shape=(channels, 8, 8))

    rule = JbdaTr().make_attack(run).rule
    assert (rule.eps, rule.steps, rule.step) == (eps, 8, 1.85 * eps / 8)
    rule = JbdaTr(eps=0.5, steps=4).make_attack(run).rule
    assert (rule.eps, rule.steps, rule.step) == (0.5, 4, 1.85 * 0.5 / 4)
    assert JbdaTr(step=0.3).make_attack(run).rule.step == 0.3
    assert JbdaTr(rule="jbda").make_attack(run).rule.eps == 0.1


def test_any_class_may_be_a_target_if_so_wished():
    asked = []
    for targets in ("other", "any"):
        oracle = Notes(soft, SEEDS * 2)
        extracted(JbdaTr(epochs=1, targets=targets), oracle)
        asked.append(oracle.images)

    assert not torch.equal(*asked)


def test_every_option_of_the_recipe_is_handed_on():
    given = {"epochs": 3, "batch_size": 5, "optimizer": "sgd", "lr": 0.5, "momentum": 0.1}
    given |= {"weight_decay": 0.2, "schedule": "cosine"}

    recipe = JbdaTr(**given).recipe

    assert {name: getattr(recipe, name) for name in given} == given
    assert (recipe.shift, recipe.flip) == (0, False)


def test_the_default_is_what_the_page_says():
    assert JbdaTr().recipe == Recipe(epochs=20, batch_size=64, optimizer="adam", lr=1e-3)


# Seeds that do not do


def test_a_budget_below_the_seeds_asks_about_random_ones(caplog):
    asked = []
    for seed in range(2):
        run = tiny_run()
        run = evolve(run, streams=evolve(run.streams, seed=seed))
        oracle = Notes(soft, 3)
        extracted(JbdaTr(epochs=1), oracle, run)
        asked.append(oracle.images)

    assert not torch.equal(*asked)
    assert "the budget allows 3 of 8 seeds" in caplog.text


def test_seeds_that_miss_a_class_are_told(caplog):
    def two_classes(images):
        return F.one_hot((images.flatten(1)[:, 0] > 0.5).long(), CLASSES).float()

    attack, _ = extracted(JbdaTr(epochs=1), Notes(two_classes, 20))

    assert attack.report()["seed_classes"] == 2
    assert "the victim sees 2 of 4 classes in the seeds" in caplog.text


def test_seeds_of_every_class_are_no_news(caplog):
    caplog.set_level(logging.INFO)
    run, oracle = tiny_run(), Notes(soft, 64)
    images = as_float(run.pool)
    labels = soft(images).argmax(-1).tolist()
    first = torch.tensor([labels.index(c) for c in range(CLASSES)])

    attack, _ = extracted(JbdaTr(epochs=1), oracle, evolve(run, seeds=run.pool[first]))

    assert attack.report()["seed_classes"] == CLASSES
    assert caplog.text == ""


def test_no_seeds_are_an_error_and_cost_nothing():
    oracle, run = Notes(soft, 64), tiny_run()

    with pytest.raises(MissingData, match="there are none"):
        extracted(JbdaTr(), oracle, evolve(run, seeds=run.seeds[:0]))

    assert oracle.remaining == 64


# The contract and the options


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"rule": "jbda", "tau": 1, "reservoir": 4},
        {"rule": "noise"},
        {"growth": "seeds", "copies": 3, "targets": "any"},
        {"retrain": "fresh", "rounded": True, "argmax": True, "final_epochs": 2},
        {"optimizer": "sgd", "schedule": "cosine", "rounds": 0},
    ],
    ids=str,
)
def test_it_keeps_the_contract_of_attacks(options):
    check_attack(JbdaTr(epochs=1, **options))


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ({"rounds": -1}, BadOption),
        ({"eps": 0.0}, BadOption),
        ({"eps": 1.5}, BadOption),
        ({"steps": 0}, BadOption),
        ({"step": 0.0}, BadOption),
        ({"tau": 0}, BadOption),
        ({"reservoir": 0}, BadOption),
        ({"final_epochs": 0}, BadOption),
        ({"copies": 2, "rule": "jbda"}, BadOption),
        ({"rule": "jbda-tr"}, UnknownName),
        ({"growth": "double"}, UnknownName),
        ({"retrain": "never"}, UnknownName),
        ({"direction": "up"}, UnknownName),
        ({"targets": "all"}, UnknownName),
    ],
    ids=str,
)
def test_an_option_without_meaning_is_refused(given, error):
    with pytest.raises(error, match=next(iter(given))):
        plugins.build("attacks", "jbdatr", given)


# On digits


@define(eq=False)
class Control:
    """Trains as the attack does, on as many images that no gradient has made."""

    make: object
    run: object = None

    @hookimpl
    def make_attack(self, run):
        self.run = run
        return self

    def extract(self, oracle):
        images = self.make(self.run, oracle.remaining)
        answers = torch.cat([oracle.query(part) for part in images.split(256)])
        return fit(self.run.new_model(), images, answers, JbdaTr().recipe)


def noise(run, count):
    return torch.rand(count, *run.image_shape, generator=run.generator("noise"))


@pytest.fixture(scope="module")
def on_digits(tmp_path_factory):
    """Attack one victim, which is trained once; return the substitute's accuracy."""
    cache = Cache(Folder(tmp_path_factory.mktemp("cache")))
    options = {"training": {"epochs": 40, "batch_size": 256, "shift": 1}}

    def stolen(attack=None, **choice):
        given = {"dataset": "digits", "attack": "jbdatr", "threads": 1, "benign_clients": 0}
        run, selected = prepare(Choice(**given, **choice, options=options))
        selected = {"it": attack} if attack else selected
        result = run_experiment(evolve(run, cache=cache), selected)
        return result["substitute"]["accuracy"]

    return stolen


@pytest.mark.slow
def test_it_beats_noise_and_more_queries_make_a_better_substitute(on_digits):
    many, few = (on_digits(budget=budget) for budget in (2000, 200))

    assert many > on_digits(Control(noise), budget=2000) + 0.3
    assert many > few + 0.05


@pytest.mark.slow
@pytest.mark.parametrize("labels", ["soft", "hard"])
def test_1500_queries_steal_digits(on_digits, labels):
    assert on_digits(budget=1500, labels=labels) > 0.7
