"""What the fresh model learns from the stolen one, and how."""

from __future__ import annotations

from copy import deepcopy

import numpy as np
import pytest
import torch
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st
from plugins.oracles import Notes, pictures
from plugins.thefts import ADAM, guarded
from plugins.thefts import finished as finished_thefts

from ringfence import plugins
from ringfence.errors import BadOption, UnknownName
from ringfence.inference import accuracy, predict, share
from ringfence.recipe import Recipe
from ringfence.testing import check_recovery, tiny_experiment, tiny_model
from ringfence_distilling import Distilling


@pytest.fixture
def run():
    torch.manual_seed(0)
    start = tiny_model()
    return evolve(tiny_experiment().for_attack("it"), new_model=lambda: deepcopy(start))


def finished(run, substitute, images=None, **options):
    recovery = Distilling(**{"epochs": 3, **options}).make_recovery(run)
    oracle = recovery.wrap(Notes(1000))
    if images is not None:
        for part in images.split(20):
            oracle.query(part)
    return recovery, recovery.finish(substitute)


def softmax(scores):
    odds = np.exp(scores - scores.max(1, keepdims=True))
    return odds / odds.sum(1, keepdims=True)


def by_hand(teacher, student, images, warm, order, batch):
    """Fit one linear model to another in float64 numpy: an epoch of plain SGD, lr 0.1."""
    (tw, tb), (w, b) = (
        [p.detach().double().numpy().copy() for p in model.parameters()]
        for model in (teacher, student)
    )
    x = images.double().flatten(1).numpy()
    targets = softmax((x @ tw.T + tb) / warm)
    for rows in order.split(batch):
        error = (softmax((x[rows] @ w.T + b) / warm) - targets[rows]) * warm / len(rows)
        w, b = w - 0.1 * error.T @ x[rows], b - 0.1 * error.sum(0)
    return w, b


@settings(deadline=None, max_examples=20)
@given(st.floats(0.5, 20), st.integers(2, 60))
def test_a_step_is_the_published_one(temperature, count):
    torch.manual_seed(0)
    start, teacher, images = tiny_model(), tiny_model(), pictures(count)
    run = evolve(tiny_experiment().for_attack("it"), new_model=lambda: deepcopy(start))
    plugin = Distilling(temperature=temperature)
    plain = Recipe(epochs=1, batch_size=64, optimizer="sgd", momentum=0.0, lr=0.1)
    recovery = evolve(plugin.make_recovery(run), recipe=plain)
    recovery.wrap(Notes(1000)).query(images)
    order = torch.randperm(count, generator=run.generator("training"))

    student = recovery.finish(teacher)

    w, b = by_hand(teacher, start, images, temperature, order, 64)
    np.testing.assert_allclose(student[1].weight.detach(), w, rtol=0, atol=1e-5)
    np.testing.assert_allclose(student[1].bias.detach(), b, rtol=0, atol=1e-5)


@pytest.mark.parametrize(("on", "count"), [("seen", 30), ("pool", 96), ("both", 126)])
def test_it_learns_from_the_images_named(run, on, count):
    recovery, _ = finished(run, tiny_model(), pictures(30), on=on)

    assert recovery.report() == {"images": count, "epochs": 3}


def test_bytes_and_floats_are_put_together(run):
    substitute, sent = tiny_model(), run.pool[:20].float() / 255
    _, bytes_only = finished(run, substitute, sent, on="both", lr=1e-2)
    floats = evolve(run, pool=run.pool.float() / 255)
    _, mixed = finished(floats, substitute, sent, on="both", lr=1e-2)

    assert torch.equal(bytes_only[1].weight, mixed[1].weight)


def test_the_stolen_model_is_left_alone_and_imitated(run):
    stolen = tiny_model()
    before, images = deepcopy(stolen.state_dict()), pictures(300)

    _, student = finished(run, stolen, images, epochs=200, lr=1e-2)

    assert student is not stolen
    assert all(torch.equal(before[name], now) for name, now in stolen.state_dict().items())
    agree = student(images).argmax(-1) == stolen(images).argmax(-1)
    assert agree.double().mean() > 0.95
    untrained = run.new_model()(images).argmax(-1) == stolen(images).argmax(-1)
    assert untrained.double().mean() < 0.8


def test_answers_of_the_victim_are_not_learnt(run):
    stolen, images = tiny_model(), pictures(50)
    students = []
    for rule in (
        lambda asked: asked.new_ones(len(asked), 4),
        lambda asked: asked.new_zeros(len(asked), 4),
    ):
        recovery = Distilling(epochs=2).make_recovery(run)
        recovery.wrap(Notes(100, rule=rule)).query(images)
        students.append(recovery.finish(stolen))

    assert torch.equal(students[0][1].weight, students[1][1].weight)


def test_nothing_seen_leaves_the_substitute_as_it_is(run):
    substitute = tiny_model()
    recovery, after = finished(run, substitute)

    assert after is substitute
    assert recovery.report() == {"images": 0, "epochs": 3}


def test_what_only_the_pool_needs_is_not_remembered(run):
    oracle = Notes(10)

    assert Distilling(on="pool").make_recovery(run).wrap(oracle) is oracle


def test_every_option_of_the_recipe_is_handed_on():
    given = {"epochs": 3, "batch_size": 5, "optimizer": "sgd", "lr": 0.5}
    given |= {"weight_decay": 0.2, "shift": 2}

    recipe = Distilling(**given).recipe

    assert {name: getattr(recipe, name) for name in given} == given


@pytest.mark.parametrize("options", [{}, {"on": "both", "temperature": 4.0}], ids=str)
def test_it_keeps_the_contract_of_recoveries(options):
    check_recovery(Distilling(epochs=1, **options))


@pytest.mark.parametrize(
    ("option", "value", "error"),
    [
        ("epochs", 0, BadOption),
        ("batch_size", 0, BadOption),
        ("temperature", 0.0, BadOption),
        ("lr", 0.0, BadOption),
        ("weight_decay", -1.0, BadOption),
        ("shift", -1, BadOption),
        ("on", "test", UnknownName),
        ("optimizer", "lion", UnknownName),
    ],
)
def test_an_option_without_meaning_is_refused(option, value, error):
    with pytest.raises(error, match=f"distilling.{option}"):
        plugins.build("attacks", "distilling", {option: value})


@pytest.mark.slow
def test_a_student_is_as_good_as_its_teacher_and_knows_less_of_the_watermark(tmp_path):
    """Hinton et al., and what thieves use it for, on digits, against DAWN."""
    options = {"dawn": {"rate": 0.0625}, "knockoffnet": ADAM}
    run, selected, guard = guarded(tmp_path, "dawn", labels="hard", options=options)
    ways = {"student": ("distilling", {"temperature": 4.0})}

    teacher, after = finished_thefts(run, selected["knockoffnet"], guard, ways)

    marks = run.store.ledger.pairs(plugin="dawn")
    before, learnt = (
        share(predict(model, marks.images) == marks.answers.argmax(-1))
        for model in (teacher, after["student"])
    )
    assert before > 0.5
    assert learnt < before - 0.2
    assert accuracy(after["student"], run.test) > accuracy(teacher, run.test) - 0.05
