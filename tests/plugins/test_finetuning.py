"""What the substitute is trained on further, which of its layers learn, and that they do."""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch
from attrs import evolve
from plugins.oracles import Notes, by_pixels, pictures
from plugins.thefts import ADAM, guarded
from plugins.thefts import finished as finished_thefts
from torch import nn

from ringfence import plugins
from ringfence.errors import BadOption, UnknownName
from ringfence.inference import accuracy, logits, predict, share
from ringfence.recipe import Recipe
from ringfence.testing import check_recovery, tiny_experiment
from ringfence.training import fit
from ringfence_finetuning import Finetuning
from ringfence_finetuning.layers import last


@pytest.fixture
def run():
    torch.manual_seed(0)
    return tiny_experiment().for_attack("it")


def net():
    return nn.Sequential(
        nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU(), nn.Flatten(), nn.Linear(72, 4)
    )


def finished(run, substitute, images=None, rule=by_pixels, **options):
    recovery = Finetuning(**{"epochs": 3, **options}).make_recovery(run)
    oracle = recovery.wrap(Notes(1000, rule=rule))
    if images is not None:
        for part in images.split(20):
            oracle.query(part)
    return recovery, recovery.finish(substitute)


def changed(before, after):
    old, new = before.state_dict(), after.state_dict()
    return {name for name in new if not torch.equal(old[name], new[name])}


@pytest.mark.parametrize("rounded", [True, False])
def test_it_is_the_usual_training_on_what_was_bought(run, rounded):
    images, substitute = pictures(50), net()
    images = (images * 255).round() / 255 if rounded else images
    recipe = Recipe(epochs=3, batch_size=64, lr=1e-3)
    expected = fit(
        deepcopy(substitute), images, by_pixels(images), recipe, generator=run.generator("training")
    )

    recovery, after = finished(run, substitute, images)

    assert after is substitute
    assert changed(expected, after) == set()
    assert recovery.report() == {"images": 50, "epochs": 3}


def test_refused_queries_are_not_learnt(run):
    substitute, images = net(), pictures(40)
    dark = images.flatten(1)[:, 10] < 0.5

    def rule(asked):
        return by_pixels(asked) * (asked.flatten(1)[:, 10:11] >= 0.5)

    again = deepcopy(substitute)
    recovery, after = finished(run, substitute, images, rule)
    _, other = finished(run, again, images[~dark])

    assert recovery.report()["images"] == int((~dark).sum()) < 40
    assert changed(after, other) == set()


def test_the_pool_is_learnt_as_the_substitute_labels_it(run):
    substitute = net()
    targets = logits(deepcopy(substitute).eval(), run.pool).softmax(-1)
    recipe = Recipe(epochs=3, batch_size=64, lr=1e-3)
    expected = fit(
        deepcopy(substitute), run.pool, targets, recipe, generator=run.generator("training")
    )

    recovery, after = finished(run, substitute, pictures(30), on="pool")

    assert changed(expected, after) == set()
    assert recovery.report()["images"] == 96


@pytest.mark.parametrize(
    ("options", "learns"),
    [
        ({}, {"0.weight", "0.bias", "1.weight", "1.bias", "4.weight", "4.bias"}),
        ({"layers": "last"}, {"4.weight", "4.bias"}),
    ],
)
def test_only_the_chosen_layers_learn(run, options, learns):
    substitute = net()
    before = deepcopy(substitute)
    substitute[0].weight.requires_grad_(False)  # as the attack left it

    _, after = finished(run, substitute, pictures(50), **options)

    statistics = {"1.running_mean", "1.running_var", "1.num_batches_tracked"}
    assert changed(before, after) == learns | (set() if options else statistics)
    assert not after[0].weight.requires_grad
    assert after[4].weight.requires_grad


def test_the_last_layer_can_start_anew(run):
    substitute = net()
    before = deepcopy(substitute)

    _, after = finished(run, substitute, pictures(50), restart=True, layers="last", lr=1e-9)

    assert changed(before, after) >= {"4.weight", "4.bias"}
    assert (after[4].weight - before[4].weight).abs().mean() > 0.05


def test_nothing_seen_leaves_the_substitute_as_it_is(run):
    substitute = net()
    before = deepcopy(substitute)

    recovery, after = finished(run, substitute, restart=True)

    assert changed(before, after) == set()
    assert recovery.report() == {"images": 0, "epochs": 3}


def test_what_only_the_pool_needs_is_not_remembered(run):
    oracle = Notes(10)

    assert Finetuning(on="pool").make_recovery(run).wrap(oracle) is oracle


def test_a_model_without_a_last_layer_is_an_error():
    with pytest.raises(BadOption, match="neither a linear layer nor a convolution"):
        last(nn.Flatten())


def test_another_seed_trains_in_another_order(run):
    substitute, images = net(), pictures(200)
    after = [
        finished(view, deepcopy(substitute), images)[1]
        for view in (run, evolve(run, streams=evolve(run.streams, seed=5)))
    ]

    assert changed(*after)


def test_every_option_of_the_recipe_is_handed_on():
    given = {"epochs": 3, "batch_size": 5, "optimizer": "sgd", "lr": 0.5}
    given |= {"weight_decay": 0.2, "shift": 2}

    recipe = Finetuning(**given).recipe

    assert {name: getattr(recipe, name) for name in given} == given


@pytest.mark.parametrize(
    "options", [{}, {"on": "pool"}, {"layers": "last", "restart": True}], ids=str
)
def test_it_keeps_the_contract_of_recoveries(options):
    check_recovery(Finetuning(epochs=1, **options))


@pytest.mark.parametrize(
    ("option", "value", "error"),
    [
        ("epochs", 0, BadOption),
        ("batch_size", 0, BadOption),
        ("lr", 0.0, BadOption),
        ("weight_decay", -1.0, BadOption),
        ("shift", -1, BadOption),
        ("on", "test", UnknownName),
        ("layers", "first", UnknownName),
        ("optimizer", "lion", UnknownName),
    ],
)
def test_an_option_without_meaning_is_refused(option, value, error):
    with pytest.raises(error, match=f"finetuning.{option}"):
        plugins.build("attacks", "finetuning", {option: value})


@pytest.mark.slow
def test_the_same_answers_keep_a_watermark_and_moved_images_wash_it_out(tmp_path):
    """What a thief can do about wrong labels that he has memorised, on digits, against DAWN."""
    options = {"dawn": {"rate": 0.0625}, "knockoffnet": ADAM}
    run, selected, guard = guarded(tmp_path, "dawn", labels="hard", options=options)
    ways = {"again": ("finetuning", {}), "moved": ("finetuning", {"shift": 2})}

    substitute, after = finished_thefts(run, selected["knockoffnet"], guard, ways)

    marks = run.store.ledger.pairs(plugin="dawn")
    before, again, moved = (
        share(predict(model, marks.images) == marks.answers.argmax(-1))
        for model in (substitute, after["again"], after["moved"])
    )
    assert before > 0.5
    assert again > before - 0.05
    assert moved < 0.3
    assert accuracy(after["moved"], run.test) > accuracy(substitute, run.test) - 0.2
