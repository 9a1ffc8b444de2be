"""The reverse sigmoid against one written in numpy, at the edges of float64, and at work."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st

from ringfence import plugins
from ringfence.answers import answer_format
from ringfence.errors import BadOption, UnknownName
from ringfence.launch import launch
from ringfence.service import Service
from ringfence.testing import check_responder, tiny_experiment
from ringfence.types import Queries
from ringfence_deceptive import GAMMAS, Deceptive
from ringfence_deceptive.reverse_sigmoid import CLIP, KEEP, bend

ROWS = 12
betas = st.one_of(st.floats(0, 5), st.sampled_from([0.0, 1e-300, 1.0, 2.0, 1000.0]))
gammas = st.one_of(st.floats(0.01, 3), st.sampled_from([1e-300, 1e-12, 0.1, 1.0, 1000.0]))


@st.composite
def soft_labels(draw):
    """Rows ``(N, K)`` of every kind that a softmax can give, float64."""
    classes = draw(st.integers(2, 100))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    scale = draw(st.sampled_from([0.01, 1.0, 5.0, 30.0, 1000.0]))
    logits = torch.from_numpy(random.normal(size=(ROWS, classes)) * scale)
    rows = logits.softmax(-1)
    rows[0], rows[1] = 0, 1 / classes  # one-hot, uniform
    rows[0, random.integers(classes)] = 1
    first, second = random.permutation(classes)[:2]
    rows[2] = 0
    rows[2, [first, second]] = 0.5  # an exact tie, and zeros
    rows[3, first] = rows[3, second] = rows[3].max()  # an exact tie of any height
    rows[4] = rows[3]
    for _ in range(draw(st.integers(1, 4))):  # a lead of a few ulps
        rows[4, first] = np.nextafter(rows[4, first].item(), 2)
    rows[5] = rows[4].flip(0)
    rows[6] = rows[3]
    rows[6, first] *= 1 + 10 ** random.uniform(-8, -2)  # a lead that float32 may lose
    return rows / rows.sum(-1, keepdim=True)


def reference_curve(probs, gamma):
    clipped = np.clip(probs, CLIP, 1 - CLIP)
    return 1 / (1 + (clipped / (1 - clipped)) ** -gamma) - 0.5


def reference(probs, beta, gamma):
    """The published equation, with nothing repaired."""
    bent = np.maximum(probs - np.expand_dims(beta, -1) * reference_curve(probs, gamma), 0)
    return bent / bent.sum(-1, keepdims=True)


def largest_beta(probs, curve, beta):
    """Search for the largest beta with which the winner of one row keeps its share of the lead."""
    winner = probs.argmax()

    def ahead(beta):
        raw = probs - beta * curve
        return np.all(raw[winner] - raw >= KEEP * (probs[winner] - probs) - 1e-15)

    if ahead(beta):
        return beta
    low, high = 0.0, beta
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if ahead(middle) else (low, middle)
    return low


@settings(deadline=None)
@given(soft_labels(), st.floats(0, 5), st.floats(0.01, 3))
def test_without_repair_it_is_the_published_equation(probs, beta, gamma):
    expected = reference(probs.numpy(), beta, gamma)

    actual = bend(probs, beta, gamma, repair=False)

    np.testing.assert_allclose(actual.numpy(), expected, rtol=0, atol=1e-12)


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 2**32 - 1), st.integers(2, 100), st.floats(0.1, 5), st.floats(0.01, 25))
def test_the_repair_is_the_largest_beta_that_a_search_finds(seed, classes, beta, gamma):
    random = np.random.default_rng(seed)
    probs = random.dirichlet(np.ones(classes), size=5)
    probs[0] = 0
    probs[0, :2] = 0.51, 0.49  # either side of a steep sigmoid
    curve = reference_curve(probs, gamma)
    found = np.array([largest_beta(row, own, beta) for row, own in zip(probs, curve, strict=True)])

    actual = bend(torch.from_numpy(probs), beta, gamma)

    np.testing.assert_allclose(actual.numpy(), reference(probs, found, gamma), rtol=0, atol=1e-9)


@settings(deadline=None, max_examples=120)
@given(soft_labels(), betas, gammas)
def test_answers_are_soft_labels_whose_top_class_stays(probs, beta, gamma):
    bent = bend(probs, beta, gamma)

    assert bent.dtype is torch.float64
    assert bool(((bent >= 0) & (bent <= 1)).all())
    np.testing.assert_allclose(bent.sum(-1), 1, rtol=0, atol=1e-12)
    assert torch.equal(bent.argmax(-1), probs.argmax(-1))


def test_a_lead_of_one_rounding_is_kept_in_float64_too():
    noise = np.random.default_rng(0).normal(size=(5000, 87)) * 1e-16
    probs = 1 / 87 + noise
    probs = torch.from_numpy(probs / probs.sum(1, keepdims=True))

    assert torch.equal(bend(probs, 1.0, 1.5).argmax(-1), probs.argmax(-1))


@settings(deadline=None, max_examples=120)
@given(soft_labels(), betas, gammas)
def test_the_top_class_outlives_the_cast_of_the_session(probs, beta, gamma):
    told = probs.float().argmax(-1) == probs.argmax(-1)  # else the victim itself is ambiguous

    bent = bend(probs, beta, gamma).float()

    assert torch.equal(bent.argmax(-1)[told], probs.argmax(-1)[told])


@settings(deadline=None, max_examples=60)
@given(soft_labels(), betas, gammas, st.booleans())
def test_any_split_into_batches_gives_the_same_bits(probs, beta, gamma, repair):
    whole = bend(probs, beta, gamma, repair=repair)

    for size in (1, 5):
        parts = [bend(part, beta, gamma, repair=repair) for part in probs.split(size)]

        assert torch.equal(torch.cat(parts), whole)


@settings(deadline=None, max_examples=30)
@given(soft_labels(), gammas)
def test_beta_zero_changes_nothing(probs, gamma):
    torch.testing.assert_close(bend(probs, 0.0, gamma), probs, rtol=0, atol=1e-15)


def test_a_confident_answer_becomes_nearly_uniform():
    probs = torch.full((1, 10), 1e-5 / 9, dtype=torch.float64)
    probs[0, 3] = 1 - 1e-5

    strong, weak = bend(probs, 1.0, 0.1), bend(probs, 0.3, 0.2)

    assert strong[0, [3, 0]].tolist() == pytest.approx([0.2166, 0.0870], abs=1e-4)  # by hand
    assert weak[0, [3, 0]].tolist() == pytest.approx([0.4251, 0.0639], abs=1e-4)


def test_without_repair_the_top_class_may_change():
    probs = torch.randn(1000, 10, generator=torch.Generator().manual_seed(0)).double().softmax(-1)

    changed = bend(probs, 1.0, 1.0, repair=False).argmax(-1) != probs.argmax(-1)

    assert changed.double().mean() > 0.5


def test_no_client_has_no_answer():
    assert bend(torch.empty(0, 10, dtype=torch.float64), 1.0, 0.1).shape == (0, 10)


def answered(labels, *responders):
    run = tiny_experiment()
    torch.manual_seed(0)
    victim = run.new_model().eval()
    made = {f"d{n}": one.make_responder(run.for_defense("it")) for n, one in enumerate(responders)}
    service = Service(victim, {}, made, format=answer_format(labels))
    return service.answer(run.pool.float() / 255, ["a"] * len(run.pool))


def test_hard_labels_are_not_affected():
    assert torch.equal(answered("hard", Deceptive(gamma=2.0)), answered("hard"))
    assert not torch.equal(answered("soft", Deceptive(gamma=2.0)), answered("soft"))


@pytest.mark.parametrize("dataset", [*GAMMAS, "digits"])
def test_gamma_is_the_published_one_of_the_data_set_unless_given(dataset):
    run = evolve(tiny_experiment().for_defense("it"), dataset=dataset)

    assert Deceptive().make_responder(run).report()["gamma"] == GAMMAS.get(dataset, 0.1)
    assert Deceptive(gamma=0.7).make_responder(run).report() == {"beta": 1.0, "gamma": 0.7}


def test_repair_none_is_handed_on():
    run, probs = tiny_experiment().for_defense("it"), torch.tensor([[0.6, 0.4]]).double()
    queries = Queries(torch.zeros(1, 1, 8, 8), ("a",), torch.zeros(1, dtype=torch.int64))
    bent = {
        repair: Deceptive(5.0, 1.0, repair).make_responder(run).respond(queries, probs, [])
        for repair in ("shrink", "none")
    }

    assert bent["shrink"].argmax() == 0
    assert bent["none"].argmax() == 1


@pytest.mark.parametrize(
    "options",
    [{}, {"beta": 5.0, "gamma": 2.0}, {"gamma": 1.0, "repair": "none"}, {"beta": 0.0}],
    ids=str,
)
def test_it_keeps_the_contract_of_responders(options):
    check_responder(Deceptive(**options))


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("beta", -0.1),
        ("beta", float("inf")),
        ("beta", float("nan")),
        ("gamma", 0.0),
        ("gamma", float("inf")),
    ],
)
def test_an_option_without_meaning_is_refused(option, value):
    with pytest.raises(BadOption, match=f"deceptive.{option} must be"):
        plugins.build("defenses", "deceptive", {option: value})


def test_an_unknown_repair_is_refused_with_the_known_ones():
    with pytest.raises(UnknownName, match="shrink"):
        plugins.build("defenses", "deceptive", {"repair": "bisect"})


@pytest.mark.slow
def test_the_thief_does_better_with_the_argmax_and_benign_top_classes_stay(victims):
    """The claims of the paper, on digits: no benign label changes, probabilities help no more."""
    training = {"epochs": 40, "batch_size": 256, "shift": 1}  # as in docs/plugins/deceptive.md
    common = {"dataset": "digits", "threads": 1, "cache": victims, "defense": ("deceptive",)}
    common |= {"attack": "knockoffnet", "options": {"training": training}}
    argmax = {"training": training, "knockoffnet": {"argmax": True}}

    plain = launch({**common, "defense": ()})
    bent, wise = launch(common), launch({**common, "options": argmax})
    hard = launch({**common, "labels": "hard"})

    assert bent["benign"]["l1"] > 0.5
    assert bent["benign"]["changed"] == 0
    assert bent["benign"]["accuracy"] == plain["benign"]["accuracy"]
    assert bent["substitute"]["accuracy"] < wise["substitute"]["accuracy"] - 0.05
    assert bent["substitute"]["accuracy"] < plain["substitute"]["accuracy"] - 0.2  # the paper's
    assert wise["substitute"] == hard["substitute"]
