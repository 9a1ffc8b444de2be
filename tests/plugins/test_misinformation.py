"""Adaptive Misinformation: switch and losses against numpy, its tau, what it does to a thief."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from ringfence import plugins
from ringfence.cache import Cache
from ringfence.errors import BadOption, MissingData
from ringfence.exposure import OutlierBatches
from ringfence.launch import launch
from ringfence.recipe import Recipe
from ringfence.testing import check_responder, check_trainer, tiny_experiment
from ringfence.types import Queries, Split, Verdict
from ringfence_misinformation import Misinformation
from ringfence_misinformation.blocks import in_blocks
from ringfence_misinformation.calibration import judge, largest_tau, turning_share
from ringfence_misinformation.reverse import FLOOR, Reverse, reverse_cross_entropy, train
from ringfence_misinformation.switch import blend, share

nus = st.sampled_from([1e-3, 1.0, 1000.0, 10_000.0, 1e6])
taus = st.one_of(st.floats(0, 1), st.sampled_from([0.0, 0.5, 0.99, 1.0]))


def soft_labels(seed, size=20, classes=5):
    """Victim's and misinformation net's soft labels ``(N, K)``: unsure, sure, one-hot, tied."""
    random = np.random.default_rng(seed)
    scale = random.choice([0.1, 1, 5, 50, 1000], size=(2, size, 1))
    probs, wrong = torch.from_numpy(random.normal(size=(2, size, classes)) * scale).softmax(-1)
    probs[0], probs[1], probs[2] = torch.eye(classes)[0], 1 / classes, 0
    probs[2, :2] = 0.5
    wrong[3] = torch.eye(classes)[1]
    return probs, wrong


def reference_share(probs, nu, tau):
    """The published sigmoid, without its overflow."""
    place = nu * (probs.max(1) - tau)
    with np.errstate(over="ignore", invalid="ignore"):
        return np.where(place > 0, np.exp(-place) / (1 + np.exp(-place)), 1 / (1 + np.exp(place)))


@settings(deadline=None, max_examples=200)
@given(st.integers(0, 10**6), nus, taus)
def test_the_answer_is_the_blend_of_the_equation(seed, nu, tau):
    probs, wrong = soft_labels(seed)
    expected = reference_share(probs.numpy(), nu, tau)[:, None]
    expected = (1 - expected) * probs.numpy() + expected * wrong.numpy()

    answers = blend(probs, wrong, share(probs, nu, tau))

    np.testing.assert_allclose(answers.numpy(), expected, rtol=0, atol=1e-12)
    np.testing.assert_allclose(answers.sum(-1), 1, rtol=0, atol=1e-12)
    assert bool((answers >= 0).all())


def test_the_switch_is_half_way_at_tau_and_closed_beyond_it():
    places = torch.tensor([0.9, 0.89, 0.91, 1.0], dtype=torch.float64)
    probs = torch.stack([places, 1 - places], 1)

    found = share(probs, 1000.0, 0.9)

    assert found[:3].tolist() == pytest.approx([0.5, 1 / (1 + np.exp(-10)), 1 / (1 + np.exp(10))])
    assert share(probs, 1e6, 0.0)[0] == 0, "an overflow is a share of nothing"


def test_without_a_slope_all_are_misinformed_alike():
    assert share(soft_labels(0)[0], None, 0.3).tolist() == [0.3] * 20


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 10**6), nus, taus)
def test_any_split_into_batches_gives_the_same_bits(seed, nu, tau):
    probs, wrong = soft_labels(seed)
    whole = blend(probs, wrong, share(probs, nu, tau))

    for size in (1, 3, 7):
        parts = zip(probs.split(size), wrong.split(size), strict=True)

        assert torch.equal(torch.cat([blend(p, w, share(p, nu, tau)) for p, w in parts]), whole)


@settings(deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([0.1, 3.0, 30.0]))
def test_the_reverse_cross_entropy_and_its_gradient_are_those_of_the_formula(seed, scale):
    random = np.random.default_rng(seed)
    scores, classes = random.normal(size=(6, 4)) * scale, random.integers(4, size=6)
    odds = np.exp(scores - scores.max(1, keepdims=True))
    probs = odds / odds.sum(1, keepdims=True)
    chosen = probs[np.arange(6), classes]
    slope = chosen / (1 - chosen + FLOOR)  # of the loss, over that of p_y
    gradient = slope[:, None] * (np.eye(4)[classes] - probs) / 6

    leaf = torch.tensor(scores, requires_grad=True)
    loss = reverse_cross_entropy(leaf, torch.from_numpy(classes))
    loss.backward()

    assert loss.item() == pytest.approx(-np.log(1 - chosen + FLOOR).mean(), rel=1e-9)
    np.testing.assert_allclose(leaf.grad, gradient, rtol=1e-6, atol=1e-9)


def test_the_released_loss_has_the_same_gradient():
    scores = torch.randn(6, 4, generator=torch.Generator().manual_seed(0)).double()
    classes, gradients = torch.tensor([0, 1, 2, 3, 0, 1]), []
    for loss in (
        reverse_cross_entropy,
        lambda z, y: F.cross_entropy((1 - z.softmax(1) + FLOOR).log(), y),
    ):
        leaf = scores.clone().requires_grad_()
        loss(leaf, classes).backward()
        gradients.append(leaf.grad)

    torch.testing.assert_close(*gradients, rtol=1e-6, atol=1e-8)


def test_a_net_that_is_sure_of_the_right_class_still_learns():
    leaf = torch.tensor([[30.0, 0.0, 0.0]], requires_grad=True)  # float32 rounds p_y to 1
    reverse_cross_entropy(leaf, torch.tensor([0])).backward()

    assert leaf.grad[0, 0] > 0


def test_the_objective_takes_the_victims_word_for_outliers():
    outliers = torch.rand(9, 1, 2, 2, generator=torch.Generator().manual_seed(0))
    images, labels = torch.rand(4, 1, 2, 2), torch.tensor([0, 1, 2, 3])
    same = OutlierBatches(outliers, Recipe(), torch.Generator().manual_seed(1))
    drawn = same.draw(4)
    said = drawn.flatten(1).argmax(-1)
    batches = OutlierBatches(outliers, Recipe(), torch.Generator().manual_seed(1))

    both = Reverse(nn.Flatten(), batches)(nn.Flatten(), images, labels)
    alone = Reverse(nn.Flatten(), None)(nn.Flatten(), images, labels)

    scores = torch.cat([images, drawn]).flatten(1)
    assert torch.equal(both, reverse_cross_entropy(scores, torch.cat([labels, said])))
    assert torch.equal(alone, reverse_cross_entropy(images.flatten(1), labels))


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 10**6))
def test_the_turning_share_is_where_the_class_is_lost(seed):
    probs, wrong = soft_labels(seed)
    found, top = turning_share(probs, wrong), probs.argmax(-1)
    rows = torch.arange(len(probs))
    second = probs.clone()
    second[rows, top] = -1
    clear = probs[rows, top] - second.amax(-1) > 1e-6

    before = blend(probs, wrong, (found - 1e-9).clamp(min=0)).argmax(-1)
    after = blend(probs, wrong, (found + 1e-6).clamp(max=1)).argmax(-1)

    assert torch.equal(before[clear], top[clear])
    lost = clear & (found < 1 - 1e-5) & (wrong.amax(-1) - wrong[rows, top] > 1e-3)
    assert bool((after != top)[lost].all())
    kept = wrong.argmax(-1) == top
    assert bool((found[kept & clear] == 1).all())


@settings(deadline=None, max_examples=100)
@given(st.integers(0, 10**6), st.sampled_from([None, 10.0, 1000.0]), st.floats(0, 0.5))
def test_tau_is_the_largest_that_the_allowed_loss_leaves(seed, nu, max_loss):
    probs, wrong = soft_labels(seed, 40)
    probs[1:3, 0] += 1e-3  # a tie is lost at once in the algebra, and to rounding in the blend
    probs /= probs.sum(-1, keepdim=True)
    labels = torch.from_numpy(np.random.default_rng(seed).integers(5, size=40))
    labels[:30] = probs[:30].argmax(-1)
    right = probs.argmax(-1) == labels

    def turned(tau):
        return int((blend(probs, wrong, share(probs, nu, tau)).argmax(-1) != labels)[right].sum())

    tau = largest_tau(probs, wrong, labels, nu, max_loss)

    assert 0 <= tau <= 1
    if tau > 0:
        assert turned(tau) <= max_loss * 40 + 1e-9
    if 0 < tau < 1:
        larger = min(1.0, tau + 1e-3) if nu is None else tau + 0.01
        assert turned(larger) > int(max_loss * 40 + 1e-9)


def test_no_tau_is_found_that_loses_more_than_nothing_where_nothing_is_allowed():
    probs = torch.tensor([[0.8, 0.2], [0.6, 0.4]]).double()
    wrong = 1 - probs.round()

    tau = largest_tau(probs, wrong, torch.tensor([0, 0]), 1000.0, 0.0)

    # the second row is lost at a share of 0.2 / 1.2, so that tau = 0.6 + log(0.2) / 1000
    assert tau == pytest.approx(0.6 + np.log(0.2) / 1000, abs=1e-6)
    assert largest_tau(probs, wrong, torch.tensor([0, 0]), None, 0.0) == pytest.approx(1 / 6)
    assert largest_tau(probs, wrong, torch.tensor([0, 0]), 1000.0, 1.0) == 1


def test_the_judgement_says_what_is_lost():
    probs = torch.tensor([[0.9, 0.1], [0.6, 0.4], [0.3, 0.7], [0.1, 0.9]]).double()
    wrong = torch.tensor([[0.0, 1.0], [0.0, 1.0], [1.0, 0.0], [0.0, 1.0]]).double()

    found = judge(probs, wrong, torch.tensor([0, 0, 1, 1]), 1000.0, 0.8)

    assert found == pytest.approx(
        {"validation_loss": 0.5, "validation_share": 0.5, "misinformation_accuracy": 0.25}
    )


@pytest.mark.parametrize("name", ["lenet5", "cnn5"])
def test_blocks_have_the_same_bits_in_any_batch(name):
    torch.manual_seed(0)
    model = plugins.build("models", name).make(10, (1, 28, 28)).eval()
    images = torch.rand(50, 1, 28, 28)
    whole = in_blocks(model, images, 8)

    for size in (1, 7, 33):
        parts = [in_blocks(model, part, 8) for part in images.split(size)]

        assert torch.equal(torch.cat(parts), whole)
    torch.testing.assert_close(whole, model(images), rtol=1e-4, atol=1e-4)
    assert not whole.requires_grad


def easy_run():
    """A defender's run whose classes are bright quarters, and outliers that are noise."""
    random = torch.Generator().manual_seed(0)
    images, labels = torch.rand(96, 1, 8, 8, generator=random) * 0.3, torch.arange(96) % 4
    for row, label in enumerate(labels.tolist()):
        across, down = 4 * (label % 2), 4 * (label // 2)
        images[row, :, down : down + 4, across : across + 4] += 0.7
    run, data = tiny_experiment(), Split(images, labels)
    outliers = torch.rand(64, 1, 8, 8, generator=random)
    recipe = Recipe(epochs=30, lr=0.02, batch_size=32)
    return evolve(run, train=data, validation=data, outliers=outliers, recipe=recipe)


@pytest.fixture(scope="module")
def trained():
    """The run, and a victim that was exposed to its outliers."""
    run = easy_run()
    torch.manual_seed(0)
    trainer = Misinformation().make_trainer(run.for_defense("it"))
    return run, trainer.train(run.new_model(), run.train)


def answers(responder, run, victim, images, verdicts=()):
    queries = Queries(images, ("a",) * len(images), torch.arange(len(images)))
    with torch.no_grad(), run.store.batch(queries.clients):
        honest = victim(images).double().softmax(-1)
        return honest, responder.respond(queries, honest, verdicts)


def test_the_thief_is_misled_and_the_honest_are_not(trained):
    run, victim = trained
    plugin = Misinformation()

    responder = plugin.make_responder(run.for_defense("it", plugin), victim)

    report = responder.report()
    assert report["nu"] == 1000
    assert report["misinformation_accuracy"] < 0.05
    assert 0 <= report["validation_loss"] < 0.005 + 1e-9
    assert report["validation_share"] < 0.05
    honest, told = answers(responder, run, victim, run.validation.images)
    assert ((honest - told).abs().sum(-1) < 0.1).double().mean() > 0.9
    honest, told = answers(responder, run, victim, run.outliers)
    assert (honest.argmax(-1) != told.argmax(-1)).double().mean() > 0.6


def test_on_outliers_the_net_contradicts_the_victim_only_if_it_has_seen_them(trained):
    run, victim = trained
    said, agree = victim(run.outliers).argmax(-1, keepdim=True), []
    for outliers in (True, False):
        torch.manual_seed(0)
        net = run.new_model()
        net.load_state_dict(train(run.for_defense("it"), victim, outliers=outliers))
        agree.append(net(run.outliers).softmax(-1).gather(1, said).mean())

    assert agree[0] < agree[1] / 2


def test_the_victim_is_not_changed_and_the_net_is_made_once(trained):
    run, victim = evolve(trained[0], cache=Cache()), trained[1]
    weights = copy.deepcopy(victim.state_dict())
    plugin, made = Misinformation(), []
    view = run.for_defense("it", plugin)
    view = evolve(view, new_model=lambda: made.append(0) or run.new_model())

    first, second = (plugin.make_responder(view, victim) for _ in range(2))

    assert len(made) == 3, "one that is trained, and one for each responder"
    assert all(torch.equal(weights[name], own) for name, own in victim.state_dict().items())
    assert first.report() == second.report()
    assert not any(module.training for module in (*first.net.modules(), *victim.modules()))


def test_only_the_suspects_of_its_drivers_are_misinformed(trained):
    run, victim = trained
    plugin = Misinformation(driven_by=("alarm",))
    responder = plugin.make_responder(run.for_defense("it", plugin), victim)
    rows = torch.arange(len(run.outliers)) % 3 == 0
    verdicts = [
        Verdict(name, rows.double(), rows, rows ^ (name == "other")) for name in ("alarm", "other")
    ]

    honest, told = answers(responder, run, victim, run.outliers, verdicts)
    _, all = answers(evolve(responder, driven_by=()), run, victim, run.outliers)
    _, none = answers(responder, run, victim, run.outliers, [])

    assert torch.equal(told[~rows], honest[~rows])
    assert torch.equal(told[rows], all[rows])
    assert not torch.equal(all, honest)
    assert torch.equal(none, honest)


def test_tau_and_nu_are_handed_on():
    run = tiny_experiment().for_defense("it")
    victim = run.new_model().eval()

    adaptive = Misinformation(tau=0.7, nu=10.0).make_responder(run, victim).report()
    constant = Misinformation(tau=0.7, adaptive=False).make_responder(run, victim).report()

    assert (adaptive["tau"], adaptive["nu"]) == (0.7, 10)
    assert constant["validation_share"] == pytest.approx(0.7)
    assert "nu" not in constant


def test_without_exposure_nobody_is_trained_and_without_outliers_it_is_an_error():
    run = tiny_experiment()
    bare = evolve(run, outliers=None).for_defense("it")

    assert Misinformation(exposure=0.0).make_trainer(bare) is None
    with pytest.raises(MissingData, match="--outliers"):
        Misinformation().make_trainer(bare)
    with pytest.raises(MissingData, match="--outliers"):
        Misinformation().make_responder(bare, run.new_model().eval())
    Misinformation(on_outliers=False).make_responder(bare, run.new_model().eval())


def test_it_keeps_the_contract_of_trainers():
    check_trainer(Misinformation())


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"tau": 0.3},
        {"tau": 0.3, "nu": 10.0, "block": 1},
        {"tau": 0.4, "adaptive": False, "block": 7},
        {"tau": 1.0, "driven_by": ("any",)},
    ],
    ids=str,
)
def test_it_keeps_the_contract_of_responders(options):
    check_responder(Misinformation(**options))


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("nu", 0.0),
        ("nu", 1e7),
        ("tau", 1.1),
        ("tau", -0.1),
        ("max_loss", 1.0),
        ("exposure", -1.0),
        ("block", 0),
        ("driven_by", [""]),
    ],
)
def test_an_option_without_meaning_is_refused(option, value):
    with pytest.raises(BadOption, match=f"misinformation.{option}"):
        plugins.build("defenses", "misinformation", {option: value})


@pytest.mark.slow
def test_the_thief_loses_and_benign_clients_hardly(victims):
    """The paper's claim on digits, beside the same victim without misinformation."""
    training = {"epochs": 40, "batch_size": 256, "shift": 1}  # as in docs/plugins/misinformation.md
    common = {"dataset": "digits", "attack": "knockoffnet", "threads": 1, "cache": victims}
    common |= {"budget": 1000, "options": {"training": training, "knockoffnet": {"epochs": 30}}}

    plain = launch(common)
    misled = launch({**common, "defense": ("misinformation",)})
    report = misled["responders"]["misinformation"]["report"]

    assert misled["substitute"]["accuracy"] < plain["substitute"]["accuracy"] - 0.2
    assert misled["responders"]["misinformation"]["changed"] > 0.5
    assert report["validation_loss"] < 0.005 + 1e-9
    assert report["misinformation_accuracy"] < 0.01
    lost = misled["victim"]["accuracy"] - misled["benign"]["accuracy"]
    assert lost < 0.03  # more than on the 200 images that chose tau
    assert misled["benign"]["changed"] < 0.03
