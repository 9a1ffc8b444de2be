"""Each score against plain float64 arithmetic; thresholds, presets, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from attrs import evolve
from ringfence_boogeyman import gate, gaussians, logistic, scratch, tuning
from ringfence_boogeyman.blocks import in_blocks
from ringfence_boogeyman.embedding import Embedding, embedding
from ringfence_boogeyman.layers import chosen, vectors
from ringfence_boogeyman.mahalanobis import Distances, Mahalanobis
from ringfence_boogeyman.msp import Msp
from ringfence_boogeyman.odin import Odin, odin_score
from ringfence_boogeyman.onehalf import OneHalf
from ringfence_boogeyman.outliers import held_out, learnt
from ringfence_boogeyman.presets import PRESETS, Form
from torch import nn

from ringfence.errors import MissingData, RingfenceError
from ringfence.plugins import build
from ringfence.testing import check_detector, tiny_experiment
from ringfence.types import Queries


def stream(seed=0):
    return torch.Generator().manual_seed(seed)


def small_net(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(1, 6, 3),
        nn.ReLU(),
        nn.Conv2d(6, 8, 3),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(128, 4),
    ).eval()


@pytest.fixture
def net():
    with torch.random.fork_rng():
        return small_net()


@pytest.fixture
def images():
    return torch.rand(20, 1, 8, 8, generator=stream(1))


# the regression


def sides(size=60):
    inside = torch.randn(size, 5, generator=stream(2)) * torch.tensor([1.0, 9.0, 0.1, 1.0, 0.0])
    outside = torch.randn(2 * size, 5, generator=stream(3)) + 0.7
    return inside, outside


@pytest.mark.parametrize("balanced", [False, True])
def test_the_regression_is_the_one_that_minimises_its_loss_in_float64(balanced):
    inside, outside = sides()
    found = logistic.fit(inside, outside, 10, balanced=balanced, seed=0)
    features = torch.cat([inside, outside]).double().numpy()
    target = np.repeat([0.0, 1.0], [len(inside), len(outside)])
    mean, deviation = features.mean(0), features.std(0)
    standard = (features - mean) / deviation
    share = np.where(target, len(outside), len(inside)) / len(target)
    weight = 0.5 / share if balanced else np.ones(len(target))
    w = found.weights.numpy() * deviation
    b = found.bias.item() + mean @ found.weights.numpy()
    wrong = weight * (1 / (1 + np.exp(-(standard @ w + b))) - target)
    slope = standard.T @ wrong + w / found.c  # of  sum(loss) + |w|^2 / (2 C), which has no b

    assert np.abs(slope).max() < 0.05
    assert abs(wrong.sum()) < 0.05
    assert found(inside).numpy() == pytest.approx(standard[: len(inside)] @ w + b, rel=1e-9)


def test_the_strength_is_the_one_with_the_least_loss_on_folds_it_did_not_see():
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold, cross_val_score

    inside, outside = sides()
    found = logistic.fit(inside, outside, 10, balanced=False, seed=7)
    features = torch.cat([inside, outside]).double().numpy()
    standard = (features - features.mean(0)) / features.std(0)
    target = np.repeat([0, 1], [len(inside), len(outside)])
    folds = StratifiedKFold(10, shuffle=True, random_state=7)
    losses = {
        c: -cross_val_score(
            LogisticRegression(C=c, max_iter=1000), standard, target,
            cv=folds, scoring="neg_log_loss",
        ).mean()
        for c in np.logspace(-4, 4, 10)
    }  # fmt: skip

    assert found.c == pytest.approx(min(losses, key=losses.get))
    assert found.loss == pytest.approx(min(losses.values()), abs=1e-4)


def test_a_feature_that_never_varies_says_nothing():
    inside, outside = (torch.cat([side, torch.ones(len(side), 1)], 1) for side in sides())

    assert logistic.fit(inside, outside, 3, balanced=False, seed=0).weights[-1] == 0


def test_a_regression_of_one_image_is_refused():
    with pytest.raises(MissingData, match=r"not 1 of the victim's and 9 outliers"):
        logistic.fit(torch.ones(1, 2), torch.ones(9, 2), 10, balanced=False, seed=0)


# ODIN


def odin_by_hand(net, images, temperature, step):
    """One image at a time, all in float64."""
    net, found = net.double(), []
    for image in images.double():
        leaf = image[None].clone().requires_grad_()
        logits = net(leaf)[0] / temperature
        (-torch.log_softmax(logits, 0)[logits.argmax()]).backward()
        moved = image[None] - step * torch.sign(leaf.grad)
        with torch.no_grad():
            found.append(torch.softmax(net(moved)[0] / temperature, 0).max().item())
    net.float()
    return found


@pytest.mark.parametrize(("temperature", "step"), [(1.0, 0.0), (1.0, 0.01), (1000.0, 0.0014)])
def test_odin_is_the_one_written_for_one_image_in_float64(net, images, temperature, step):
    found = -odin_score(net, temperature, step, images)
    untouched = all(weight.grad is None for weight in net.parameters())

    assert untouched
    assert found.dtype is torch.float64
    assert found.tolist() == pytest.approx(odin_by_hand(net, images, temperature, step), rel=1e-6)


def test_odins_step_makes_the_victim_surer(net, images):
    before, after = (-odin_score(net, 1.0, step, images) for step in (0.0, 0.01))

    assert (after > before).all()


# Mahalanobis


def distance_by_hand(features, labels, queries):
    features, queries = features.astype(np.float64), queries.astype(np.float64)
    means = {label: features[labels == label].mean(0) for label in set(labels.tolist())}
    centred = np.stack([one - means[label] for one, label in zip(features, labels, strict=True)])
    covariance = sum(np.outer(one, one) for one in centred) / len(centred)
    covariance += 1e-6 * np.trace(covariance) / len(covariance) * np.eye(len(covariance))
    precision = np.linalg.inv(covariance)
    return [min((one - m) @ precision @ (one - m) for m in means.values()) for one in queries]


def gaussian_data():
    features = torch.randn(200, 6, generator=stream(4)) @ torch.randn(6, 6, generator=stream(5))
    return features.float() + 3, torch.arange(200) % 3, torch.randn(9, 6, generator=stream(6)) * 4


def test_distances_are_those_written_with_loops_in_float64():
    features, labels, queries = gaussian_data()
    found = gaussians.fit(features, labels).distance(queries)

    wanted = distance_by_hand(*(one.numpy() for one in (features, labels, queries)))
    assert found.tolist() == pytest.approx(wanted, rel=1e-8)


def test_the_covariance_is_scikit_learns():
    from sklearn.covariance import EmpiricalCovariance

    features, labels, queries = gaussian_data()
    means = torch.stack([features[labels == label].double().mean(0) for label in range(3)])
    theirs = EmpiricalCovariance(assume_centered=True).fit(features.double() - means[labels])
    wanted = np.min([theirs.mahalanobis((queries - mean).numpy()) for mean in means], axis=0)
    found = gaussians.fit(features, labels).distance(queries).numpy()

    assert found == pytest.approx(wanted, rel=1e-3)  # but for the ridge


def test_features_that_do_not_vary_at_all_are_at_no_distance():
    found = gaussians.fit(torch.full((8, 3), 2.0), torch.arange(8) % 2)

    assert found.distance(torch.randn(4, 3)).tolist() == [0, 0, 0, 0]


def test_layers_are_named_or_five_activations_or_the_stages_of_a_resnet(net):
    assert chosen(net, ()) == ("1", "3")
    assert chosen(net, ("0",)) == ("0",)
    assert chosen(build("models", "resnet18").make(4, (3, 8, 8)), ()) == tuple(
        f"net.{stage}" for stage in ("maxpool", "layer1", "layer2", "layer3", "layer4")
    )
    deep = nn.Sequential(*[nn.ReLU() for _ in range(12)])
    assert chosen(deep, ()) == ("1", "3", "6", "8", "11")
    with pytest.raises(RingfenceError, match=r"no layer 'nine'\. Known: 0, 1, 2"):
        chosen(net, ("nine",))


def test_maps_are_averaged_over_space(net, images):
    first, second = vectors(net, ("1", "3"), images)
    early = net[:2](images)

    assert torch.allclose(first, early.mean((2, 3)))
    assert torch.allclose(second, net[:4](images).mean((2, 3)))


def test_the_step_of_a_layer_goes_towards_its_closest_class(net, images):
    names = ("1", "3")
    layers = [gaussians.fit(own, torch.arange(20) % 2) for own in vectors(net, names, images)]
    layers = [gaussians.Gaussians(one.whitening.detach(), one.means.detach()) for one in layers]
    distances = Distances(net, names, layers)
    other = torch.rand(6, 1, 8, 8, generator=stream(9))
    with torch.no_grad():
        still, moved = distances(other, 0.0), distances(other, 0.002)
    leaf = other[:1].clone().requires_grad_()
    by_hand = layers[1].distance(vectors(net, names, leaf)[1]).sum()
    (gradient,) = torch.autograd.grad(by_hand, leaf)
    there = layers[1].distance(vectors(net, names, other[:1] - 0.002 * gradient.sign())[1])

    assert (moved < still).all()
    assert moved[0, 1].item() == pytest.approx(there.item(), rel=1e-6)


# what all share


def test_images_are_judged_in_blocks_of_one_size():
    sizes = []

    def judge(block):
        sizes.append(len(block))
        return block.flatten(1).sum(1)

    images = torch.randint(0, 256, (7, 1, 2, 2), dtype=torch.uint8)

    assert torch.equal(in_blocks(judge, images, 3), (images / 255).flatten(1).sum(1))
    assert in_blocks(judge, images[:0], 3).shape == (0,)
    assert sizes == [3, 3, 3, 3]


def test_the_threshold_lets_the_share_pass_and_flags_the_rest():
    benign = torch.arange(100).double()
    threshold = gate.threshold_at(benign, 0.95)

    assert (benign < threshold).sum() == 95
    assert tuning.caught(benign, torch.tensor([94, 95, 96]).double()) == pytest.approx(2 / 3)


def test_every_tenth_outlier_is_held_out_and_none_is_on_both_sides():
    outliers = torch.arange(25)[:, None]

    assert held_out(outliers).flatten().tolist() == [9, 19]
    assert sorted([*held_out(outliers), *learnt(outliers)]) == list(range(25))


def test_the_eight_presets_are_those_of_table_3():
    kinds = {name: (form.backbone, form.scratch, form.overlap) for name, form in PRESETS.items()}

    assert kinds == {
        "rn18": ("resnet18", True, True),
        "rn34": ("resnet34", True, True),
        "rn18x": ("resnet18", True, False),
        "rn34x": ("resnet34", True, False),
        "rn18xcv": ("resnet18", False, False),
        "rn34xcv": ("resnet34", False, False),
        "rn101xcv": ("resnet101", False, False),
        "rn152xcv": ("resnet152", False, False),
    }
    assert OneHalf(preset="rn34", backbone="cnn5").form == Form("cnn5", scratch=True)
    assert OneHalf().form == Form("victim")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"preset": "rn18", "exclude_classes": (1,)}, "rn18x"),
        ({"preset": "rn19"}, "preset"),
        ({"scratch": True, "backbone": "resnet19"}, "No model is named 'resnet19'"),
    ],
)
def test_options_that_cannot_be_are_refused(options, message):
    with pytest.raises((ValueError, RingfenceError), match=message):
        OneHalf(**options)


def detector(plugin, **how):
    run = evolve(tiny_experiment(), **how)
    return plugin.make_detector(run.for_defense("it", plugin), small_model(run)), run


def small_model(run):
    torch.manual_seed(3)
    return run.new_model().eval()


def test_excluded_classes_are_not_learnt_from(monkeypatch):
    asked = []
    fit = logistic.fit

    def watched(inside, outside, *rest, **options):
        asked.append((len(inside), len(outside)))
        return fit(inside, outside, *rest, **options)

    monkeypatch.setattr(logistic, "fit", watched)
    detector(OneHalf())
    detector(OneHalf(exclude_classes=(0, 3)))
    detector(OneHalf(limit=5))

    assert asked == [(96, 87), (48, 87), (5, 5)]
    with pytest.raises(RingfenceError, match=r"\[4\] of the classes 0 to 3"):
        detector(OneHalf(exclude_classes=(4,)))
    with pytest.raises(RingfenceError, match="not all"):
        detector(OneHalf(exclude_classes=(0, 1, 2, 3)))


def test_without_outliers_it_says_what_is_missing():
    with pytest.raises(MissingData, match="Give --outliers"):
        detector(OneHalf(), outliers=None)
    assert "held_out_tpr" not in detector(Msp(), outliers=None)[0].report()


@pytest.mark.parametrize("folds", [2, 10])
def test_features_are_computed_once_for_a_run_and_its_repetition(monkeypatch, folds):
    seen = []
    plugin, run = OneHalf(folds=folds), tiny_experiment()
    call = Embedding.__call__
    monkeypatch.setattr(
        Embedding, "__call__", lambda self, images: seen.append(len(images)) or call(self, images)
    )
    for _ in range(2):
        plugin.make_detector(run.for_defense("it", plugin), small_model(run))

    assert seen == [96, 87]


def test_a_frozen_network_takes_its_weights_from_a_file_and_its_own_image_size(tmp_path):
    run = tiny_experiment()
    other = build("models", "torchvision", {"name": "squeezenet1_1"}).make(10, (3, 32, 32))
    torch.save(other.net.state_dict(), tmp_path / "weights.pth")
    own = run.for_defense("it")
    before = torch.random.get_rng_state()
    frozen = embedding(own, None, "squeezenet1_1", str(tmp_path / "weights.pth"), 32, 8)

    assert torch.equal(torch.random.get_rng_state(), before)
    assert frozen(run.pool[:3]).shape == (3, 512)
    assert torch.equal(frozen.net.net.features[0].weight, other.net.features[0].weight)
    with pytest.raises(RingfenceError, match="No backbone is named 'squeezenet'"):
        embedding(own, None, "squeezenet", "imagenet", 32, 8)
    with pytest.raises(RingfenceError, match="neither a file nor the name of weights"):
        embedding(own, None, "squeezenet1_1", str(tmp_path / "none.pth"), 32, 8)


def test_the_recipe_from_scratch_halves_its_rate_half_way():
    recipe = scratch.recipe(200, 128)

    assert (recipe.optimizer, recipe.lr, recipe.gamma, recipe.step_epochs) == (
        "adam",
        1e-3,
        0.5,
        100,
    )


def told_apart(plugin, **how):
    """Return TPR and TNR on noise that is brighter than the victim's by a half."""
    run = evolve(tiny_experiment(), **how)
    train = evolve(run.train, images=run.train.images // 2)
    run = evolve(run, train=train, validation=train, outliers=run.outliers // 2 + 127)
    gate = plugin.make_detector(run.for_defense("it", plugin), small_model(run))
    verdicts = []
    for images in (run.outliers, train.images):
        queries = Queries(images.float() / 255, ("one",) * 96, torch.arange(96))
        with run.store.batch(queries.clients):
            verdicts.append(gate.inspect(queries, small_model(run)(queries.images)))
    caught, passed = verdicts[0].flagged, ~verdicts[1].flagged
    return caught.double().mean().item(), passed.double().mean().item(), gate


@pytest.mark.parametrize(
    "plugin",
    [
        OneHalf(),
        OneHalf(tnr=0.9),
        OneHalf(scratch=True, backbone="cnn9", epochs=3, batch_size=16, block=32),
        Mahalanobis(combine="sum"),
        Mahalanobis(),
    ],
    ids=["frozen", "tnr", "scratch", "sum", "regression"],
)
def test_what_is_brighter_is_told_apart(plugin):
    tpr, tnr, gate = told_apart(plugin)

    assert tpr >= 0.95
    assert tnr >= 0.9
    assert gate.report()["held_out_tpr"] >= 0.95
    assert gate.report()["benign_rate"] <= 0.1


@pytest.mark.parametrize("plugin", [Odin(tuned=True), Mahalanobis(tuned=True)], ids=["odin", "m"])
def test_tuning_chooses_from_the_lists_of_the_authors(plugin):
    report = detector(plugin)[0].report()

    assert report["step"] in (*tuning_steps(plugin),)


def tuning_steps(plugin):
    from ringfence_boogeyman import mahalanobis, odin

    return (odin if isinstance(plugin, Odin) else mahalanobis).STEPS


def test_tuning_takes_the_candidate_that_catches_most_and_the_first_of_equals():
    benign = torch.arange(100).double()
    outliers = {1: torch.full((4,), 50.0), 2: torch.full((4,), 99.0), 3: torch.full((4,), 98.0)}

    assert tuning.best(outliers, lambda one: (benign, outliers[one])) == 2


@pytest.mark.parametrize(
    "plugin",
    [
        OneHalf(scratch=True, backbone="cnn9", epochs=1, block=16),
        Odin(tuned=True),
        Mahalanobis(step=0.001),
        Mahalanobis(combine="sum", tnr=0.9),
    ],
    ids=["scratch", "tuned", "step", "sum"],
)
def test_keeps_its_promises_with_other_options(plugin):
    check_detector(plugin)
