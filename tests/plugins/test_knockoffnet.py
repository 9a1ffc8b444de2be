"""Which images are sent, what is learnt from the answers, and how: each against one by hand."""

from __future__ import annotations

from collections import Counter
from copy import deepcopy

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from attrs import define, evolve, field
from hypothesis import given, settings
from hypothesis import strategies as st

from ringfence import plugins
from ringfence.choice import Choice
from ringfence.errors import BadOption, UnknownName
from ringfence.pipeline import run_experiment
from ringfence.recipe import Recipe
from ringfence.setup import prepare
from ringfence.testing import check_attack, tiny_experiment, tiny_model
from ringfence_knockoffnet import KnockoffNet
from ringfence_knockoffnet.sampling import last_images, uniform

CLASSES = 4


def stream(seed=0):
    return torch.Generator().manual_seed(seed)


@settings(deadline=None)
@given(st.integers(1, 40), st.integers(0, 200), st.integers(0, 99))
def test_every_image_is_sent_before_any_is_sent_again(size, count, seed):
    rows = uniform(size, count, stream(seed))

    assert rows.shape == (count,)
    assert rows.dtype is torch.int64
    for order in rows[: count - count % size].view(-1, size):
        assert sorted(order.tolist()) == list(range(size))
    rest = rows[count - count % size :].tolist()
    assert len(set(rest)) == len(rest)
    assert set(rest) <= set(range(size))


def test_an_exhausted_pool_is_gone_through_in_a_new_order():
    first, second = uniform(50, 100, stream()).split(50)

    assert not torch.equal(first, second)


def test_every_image_is_as_likely_to_be_sent():
    drawn = Counter(row for seed in range(2000) for row in uniform(10, 3, stream(seed)).tolist())

    assert min(drawn.values()) > 500  # 600 expected, deviation 20
    assert max(drawn.values()) < 700


@settings(deadline=None)
@given(st.lists(st.integers(0, 9), max_size=30), st.data())
def test_an_image_held_out_is_nowhere_among_the_others(rows, data):
    rows = torch.tensor(rows, dtype=torch.int64)
    count = data.draw(st.integers(0, len(rows)))

    held = last_images(rows, count)

    assert bool(held[len(rows) - count :].all())
    assert not set(rows[held].tolist()) & set(rows[~held].tolist())
    assert set(rows[held].tolist()) == set(rows[len(rows) - count :].tolist())


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
        self.remaining -= len(images)
        self.asked.append(images.clone())
        return self.rule(images)


def soft(images):
    """Answer by what is in the image, so that a mix-up of images and answers shows."""
    return (images.flatten(1)[:, :CLASSES] * 5).softmax(-1)


def hard(images):
    return F.one_hot(soft(images).argmax(-1), CLASSES).float()


def extracted(plugin, oracle, run=None):
    attack = plugin.make_attack(run or tiny_experiment(budget=1).for_attack("it"))
    return attack, attack.extract(oracle)


@pytest.mark.parametrize("strategy", ["random", "adaptive"])
@pytest.mark.parametrize("budget", [7, 96, 250])
def test_all_that_remains_is_spent_and_repeats_count(budget, strategy):
    oracle = Notes(soft, budget)
    plugin = KnockoffNet(epochs=1, query_batch=64, repeat=True, strategy=strategy)

    attack, _ = extracted(plugin, oracle)

    assert oracle.remaining == 0
    assert max(len(batch) for batch in oracle.asked) == min(budget, 64)
    sent = Counter(bytes(image.numpy()) for image in torch.cat(oracle.asked))
    assert max(sent.values()) - min(sent.values()) <= (budget > 96)  # all before any once more
    told = attack.report().items()
    assert told >= {"transfer_set": budget, "distinct": min(budget, 96), "pool": 96}.items()
    assert told >= {"shortfall": 0, "discarded": 0, "epochs": 1}.items()


@pytest.mark.parametrize("strategy", ["random", "adaptive"])
def test_a_pool_smaller_than_the_budget_is_used_once_and_told(strategy, caplog):
    oracle = Notes(soft, 250)

    attack, _ = extracted(KnockoffNet(epochs=1, strategy=strategy), oracle)

    assert oracle.remaining == 154
    assert len(torch.cat(oracle.asked).unique(dim=0)) == 96
    assert attack.report()["transfer_set"] == attack.report()["pool"] == 96
    assert attack.report()["shortfall"] == 154
    [warning] = caplog.messages
    assert "The pool has 96 images, the budget is 250: 154 queries are not asked." in warning
    assert "knockoffnet.repeat=true" in warning


def test_a_pool_that_is_large_enough_is_not_worth_a_word(caplog):
    extracted(KnockoffNet(epochs=1), Notes(soft, 96))

    assert not caplog.messages


@pytest.mark.parametrize("strategy", ["random", "adaptive"])
def test_what_was_refused_is_discarded_and_not_learnt(strategy):
    def refusing(images):
        return soft(images) * (images.flatten(1)[:, :1] > 0.3)

    start, run, oracle = tiny_model(), tiny_experiment().for_attack("it"), Notes(refusing, 96)
    run = evolve(run, new_model=lambda: deepcopy(start))
    plugin = KnockoffNet(epochs=3, batch_size=16, strategy=strategy)
    attack, substitute = extracted(plugin, oracle, run)
    images = torch.cat(oracle.asked)
    kept = images[refusing(images).any(-1)]

    assert 0 < len(kept) < 96
    assert attack.report()["transfer_set"] == len(kept)
    assert attack.report()["discarded"] == 96 - len(kept)
    orders = run.generator("training")
    orders = [torch.randperm(len(kept), generator=orders) for _ in range(3)]
    w, _ = by_hand(start, kept, soft(kept), orders, epochs_per_step=60)
    np.testing.assert_allclose(substitute[1].weight.detach(), w, rtol=0, atol=1e-5)


@pytest.mark.parametrize("strategy", ["random", "adaptive"])
def test_a_service_that_refuses_everything_leaves_an_untrained_substitute(strategy):
    oracle = Notes(lambda images: torch.zeros(len(images), CLASSES), 60)
    attack, substitute = extracted(KnockoffNet(epochs=1, strategy=strategy), oracle)

    assert attack.report()["discarded"] == 60
    assert substitute(torch.zeros(1, 1, 8, 8)).shape == (1, CLASSES)


def test_no_answer_guides_a_choice():
    other, oracle = Notes(lambda images: soft(1 - images), 200), Notes(soft, 200)
    extracted(KnockoffNet(epochs=1), oracle)
    extracted(KnockoffNet(epochs=1), other)

    assert torch.equal(torch.cat(oracle.asked), torch.cat(other.asked))


def test_how_queries_are_cut_changes_nothing():
    weights = []
    for size in (1, 1000):
        torch.manual_seed(0)
        _, substitute = extracted(KnockoffNet(epochs=1, query_batch=size), Notes(soft, 100))
        weights.append(substitute[1].weight)

    assert torch.equal(*weights)


def test_another_seed_sends_other_images():
    run = tiny_experiment(seed=1).for_attack("it")
    sent = []
    for view in (run, evolve(run, streams=evolve(run.streams, seed=5))):
        oracle = Notes(soft, 50)
        extracted(KnockoffNet(epochs=1), oracle, view)
        sent.append(torch.cat(oracle.asked))

    assert not torch.equal(*sent)


def test_each_extraction_starts_from_a_new_model():
    run, made = tiny_experiment().for_attack("it"), []
    run = evolve(run, new_model=lambda: made.append(tiny_model()) or made[-1])
    attack = KnockoffNet(epochs=1).make_attack(run)

    substitutes = [attack.extract(Notes(soft, budget)) for budget in (10, 20)]

    assert substitutes == made


def by_hand(model, images, targets, orders, epochs_per_step):
    """Fit a linear model in float64 numpy: soft cross-entropy, SGD with momentum, no more."""
    x, y = images.double().flatten(1).numpy(), targets.double().numpy()
    w, b = (p.detach().double().numpy().copy() for p in model.parameters())
    speed = [np.zeros_like(w), np.zeros_like(b)]
    for epoch, order in enumerate(orders):
        lr = 0.01 * 0.1 ** (epoch // epochs_per_step)
        for rows in order.split(16):
            scores = x[rows] @ w.T + b
            odds = np.exp(scores - scores.max(1, keepdims=True))
            odds /= odds.sum(1, keepdims=True)
            error = (odds * y[rows].sum(1, keepdims=True) - y[rows]) / len(rows)
            speed = [0.5 * speed[0] + error.T @ x[rows], 0.5 * speed[1] + error.sum(0)]
            w, b = w - lr * speed[0], b - lr * speed[1]
    return w, b


@pytest.mark.parametrize("rule", [soft, hard, lambda images: soft(images).round(decimals=1)])
def test_the_substitute_is_the_one_fitted_by_hand(rule):
    start, run, oracle = tiny_model(), tiny_experiment().for_attack("it"), Notes(rule, 80)
    run = evolve(run, new_model=lambda: deepcopy(start))
    orders = run.generator("training")
    orders = [torch.randperm(80, generator=orders) for _ in range(5)]

    _, substitute = extracted(KnockoffNet(epochs=5, batch_size=16, step_epochs=2), oracle, run)

    images = torch.cat(oracle.asked)
    w, b = by_hand(start, images, rule(images), orders, epochs_per_step=2)
    np.testing.assert_allclose(substitute[1].weight.detach(), w, rtol=0, atol=1e-5)
    np.testing.assert_allclose(substitute[1].bias.detach(), b, rtol=0, atol=1e-5)


def test_argmax_learns_from_soft_labels_what_hard_ones_say():
    weights = []
    for plugin, rule in ((KnockoffNet(argmax=True), soft), (KnockoffNet(), hard)):
        torch.manual_seed(0)
        weights.append(extracted(plugin, Notes(rule, 50))[1][1].weight)

    assert torch.equal(*weights)


def test_the_default_recipe_is_the_released_one_for_50_epochs():
    assert KnockoffNet().recipe == Recipe(
        epochs=50,
        batch_size=64,
        optimizer="sgd",
        lr=0.01,
        momentum=0.5,
        weight_decay=0.0,
        schedule="step",
        step_epochs=60,
        gamma=0.1,
        shift=0,
        flip=False,
    )


def test_every_option_of_the_recipe_is_handed_on():
    given = {"epochs": 3, "batch_size": 5, "optimizer": "adam", "lr": 0.5, "momentum": 0.1}
    given |= {"weight_decay": 0.2, "schedule": "cosine", "step_epochs": 7}

    recipe = KnockoffNet(**given).recipe

    assert {name: getattr(recipe, name) for name in given} == given


@pytest.mark.parametrize("budget", [60, 150])
def test_held_out_answers_are_not_learnt_but_agreed_with_or_not(budget):
    torch.manual_seed(0)
    start, run, oracle = tiny_model(), tiny_experiment().for_attack("it"), Notes(soft, budget)
    run = evolve(run, new_model=lambda: deepcopy(start))
    plugin = KnockoffNet(epochs=2, held_out=0.2, repeat=True)
    attack, substitute = extracted(plugin, oracle, run)
    images = torch.cat(oracle.asked)
    held = (images.flatten(1)[:, None] == images[-budget // 5 :].flatten(1)[None]).all(-1).any(-1)

    agree = substitute(images[held]).argmax(-1) == soft(images[held]).argmax(-1)
    assert attack.report()["held_out"] == held.sum()
    assert attack.report()["held_out_fidelity"] == agree.double().mean().item()

    spoilt = Notes(lambda asked: torch.where(seen(asked, images[held]), 0.25, soft(asked)), budget)
    _, again = extracted(plugin, spoilt, run)
    assert torch.equal(substitute[1].weight, again[1].weight)


def seen(images, among):
    same = images.flatten(1)[:, None] == among.flatten(1)[None]
    return same.all(-1).any(-1, keepdim=True)


def test_an_oracle_with_nothing_left_gives_an_untrained_substitute():
    attack, substitute = extracted(KnockoffNet(epochs=1), Notes(soft, 0))

    assert attack.report()["transfer_set"] == 0
    assert substitute(torch.zeros(1, 1, 8, 8)).shape == (1, CLASSES)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"optimizer": "adam", "schedule": "cosine", "held_out": 0.5},
        {"strategy": "adaptive", "query_batch": 16, "held_out": 0.5},
        {"strategy": "adaptive", "query_batch": 1, "rewards": ("certainty",), "clusters": 3},
    ],
    ids=str,
)
def test_it_keeps_the_contract_of_attacks(options):
    check_attack(KnockoffNet(epochs=1, **options))


@pytest.mark.parametrize(
    ("option", "value", "error"),
    [
        ("strategy", "greedy", UnknownName),
        ("rewards", "", BadOption),
        ("rewards", "certainty,lost", BadOption),
        ("rewards", "loss,loss", BadOption),
        ("rewards", (), BadOption),
        ("clusters", 0, BadOption),
        ("window", 0, BadOption),
        ("query_batch", 0, BadOption),
        ("epochs", 0, BadOption),
        ("lr", 0.0, BadOption),
        ("momentum", 1.0, BadOption),
        ("held_out", 1.0, BadOption),
        ("optimizer", "lion", UnknownName),
        ("schedule", "linear", UnknownName),
    ],
)
def test_an_option_without_meaning_is_refused(option, value, error):
    with pytest.raises(error, match=option):
        plugins.build("attacks", "knockoffnet", {option: value})


TRAINING = {"epochs": 40, "batch_size": 256, "shift": 1}  # as in docs/plugins/knockoffnet.md


def on_digits(victims, training=TRAINING, knockoffnet=None, **given):
    options = {"training": training or {}, "knockoffnet": knockoffnet or {}}
    common = {"dataset": "digits", "attack": "knockoffnet", "threads": 1, "benign_clients": 0}
    return Choice(**{**common, "cache": victims, "options": options, **given})


def stolen(victims, **given):
    run, selected = prepare(on_digits(victims, **given))
    return run_experiment(run, selected)["substitute"]


@pytest.mark.slow
def test_more_queries_and_softer_answers_make_a_more_faithful_substitute(victims):
    """The claims of the paper, on digits."""
    few, many = (stolen(victims, budget=budget) for budget in (200, 2000))
    hard = stolen(victims, labels="hard")

    assert many["fidelity"] > few["fidelity"] + 0.1
    assert many["fidelity"] > hard["fidelity"]
    assert many["recovery"] > 0.75


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["random", "adaptive"])
def test_images_of_the_pool_teach_more_than_noise(victims, strategy):
    run, selected = prepare(on_digits(victims, knockoffnet={"strategy": strategy}))
    noise = torch.randint(0, 256, (2000, 1, 28, 28), generator=stream(), dtype=torch.uint8)

    real = run_experiment(run, selected)
    random = run_experiment(evolve(run, pool=noise, pool_labels=None), selected)

    assert real["attack"]["queries"] == random["attack"]["queries"] == 2000
    assert real["substitute"]["accuracy"] > random["substitute"]["accuracy"] + 0.3


@pytest.mark.slow
@pytest.mark.parametrize("labels", ["soft", "hard"])
def test_1500_queries_steal_more_than_two_fifths_with_all_defaults(victims, labels):
    assert stolen(victims, training=None, labels=labels, budget=1500)["accuracy"] > 0.4


@pytest.mark.slow
def test_a_thief_with_the_training_images_needs_their_answers_only(victims):
    adam = {"optimizer": "adam", "lr": 0.001}
    pools = {
        pool: stolen(victims, knockoffnet=adam, budget=600, pool=pool, labels="hard")
        for pool in ("glyphs:letters", "train")
    }

    assert pools["train"]["accuracy"] > 0.9
    assert pools["train"]["accuracy"] > pools["glyphs:letters"]["accuracy"] + 0.05
