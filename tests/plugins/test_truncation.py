"""Truncated answers against ones cut by hand in numpy, and at work."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from plugins.thefts import ADAM, TRAINING

from ringfence import plugins
from ringfence.answers import answer_format
from ringfence.errors import BadOption, UnknownName
from ringfence.launch import launch
from ringfence.service import Service
from ringfence.testing import check_responder, tiny_experiment
from ringfence.types import Queries, Verdict
from ringfence_truncation import Truncation
from ringfence_truncation.truncate import label, largest, rounded

ROWS = 9


@st.composite
def soft_labels(draw):
    """Rows ``(N, K)`` float64: of every steepness, uniform, one-hot, tied, refused."""
    classes = draw(st.integers(2, 40))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    rows = torch.from_numpy(random.normal(size=(ROWS, classes)) * draw(st.sampled_from([0.01, 5])))
    rows = rows.softmax(-1)
    rows[0] = 1 / classes
    rows[1] = 0
    rows[1, random.integers(classes)] = 1
    rows[2] = 0
    rows[2, random.permutation(classes)[:2]] = 0.5
    rows[3] = torch.from_numpy(random.integers(1, 4, size=classes) / 1.0)  # many equals
    rows[4] = 0  # refused by an earlier responder
    return rows / rows.sum(-1, keepdim=True).clamp(min=1e-300)


def by_hand(row, kind, number):
    """Cut one row; of equals the first counts."""
    if kind == "labels":
        kept = np.eye(len(row))[row.argmax()]
    elif kind == "top":
        order = sorted(range(len(row)), key=lambda place: -row[place])[:number]
        kept = np.array([row[place] if place in order else 0 for place in range(len(row))])
    else:
        kept = np.round(row * 10**number) / 10**number  # as torch does it, to the bit at halves
        kept = kept if kept.any() else np.ones(len(row))
    return kept / kept.sum()


@settings(deadline=None)
@given(soft_labels(), st.sampled_from(["labels", "top", "round"]), st.integers(0, 12))
def test_answers_are_those_cut_by_hand(probs, kind, number):
    number = max(1, number) if kind == "top" else number
    expected = [by_hand(row, kind, number) if row.any() else row for row in probs.numpy()]
    cut = {"labels": lambda p, _: label(p), "top": largest, "round": rounded}[kind]

    actual = cut(probs, number)

    np.testing.assert_allclose(actual.numpy(), expected, rtol=0, atol=1e-12)
    assert actual.dtype is torch.float64


@settings(deadline=None)
@given(soft_labels(), st.integers(1, 5), st.integers(0, 3))
def test_any_split_into_batches_gives_the_same_bits(probs, k, decimals):
    for cut in (label, lambda p: largest(p, k), lambda p: rounded(p, decimals)):
        for size in (1, 4):
            assert torch.equal(torch.cat([cut(part) for part in probs.split(size)]), cut(probs))


@settings(deadline=None)
@given(soft_labels(), st.integers(1, 5))
def test_the_top_class_stays_but_where_rounding_makes_it_one_of_equals(probs, k):
    told = probs[(probs != 0).any(-1)]

    assert torch.equal(label(told).argmax(-1), told.argmax(-1))
    assert torch.equal(largest(told, k).argmax(-1), told.argmax(-1))
    coarse = rounded(told, 1)
    assert bool(
        (coarse.gather(-1, told.argmax(-1, keepdim=True)) >= coarse.amax(-1, keepdim=True)).all()
    )


def test_what_a_format_sends_as_it_is_sums_to_one_here():
    probs = torch.tensor([[0.5, 0.26, 0.24], [0.34, 0.33, 0.33]], dtype=torch.float64)

    assert answer_format("top2")(probs)[0].tolist() == [0.5, 0.26, 0]
    assert largest(probs, 2)[0].tolist() == pytest.approx([0.5 / 0.76, 0.26 / 0.76, 0])
    assert answer_format("round1")(probs)[1].tolist() == pytest.approx([0.3, 0.3, 0.3])
    assert rounded(probs, 1)[1].tolist() == pytest.approx([1 / 3] * 3)


def test_a_row_that_rounds_to_nothing_says_nothing():
    probs = torch.tensor([[0.4, 0.35, 0.25], [0.6, 0.4, 0.0], [0.0, 0.0, 0.0]], dtype=torch.float64)

    assert torch.equal(answer_format("round0")(probs)[0], torch.zeros(3).double())
    assert rounded(probs, 0).tolist() == [pytest.approx([1 / 3] * 3), [1, 0, 0], [0, 0, 0]]


def test_only_suspects_of_the_named_detectors_are_cut():
    probs = torch.tensor([[0.6, 0.4]] * 3, dtype=torch.float64)
    queries = Queries(torch.zeros(3, 1, 8, 8), ("a", "b", "c"), torch.zeros(3, dtype=torch.int64))
    verdicts = [
        Verdict(name, torch.zeros(3), torch.zeros(3) > 0, torch.tensor(guilty))
        for name, guilty in (("one", [True, False, False]), ("two", [False, True, False]))
    ]

    for driven_by, cut in (
        ((), [1, 1, 1]),
        (("two",), [0.6, 1, 0.6]),
        (("one", "two"), [1, 1, 0.6]),
    ):
        answers = Truncation(driven_by=driven_by).respond(queries, probs, verdicts)

        assert answers[:, 0].tolist() == cut


def answered(labels, *responders):
    run = tiny_experiment()
    torch.manual_seed(0)
    victim = run.new_model().eval()
    made = {f"d{n}": one.make_responder(run.for_defense("it")) for n, one in enumerate(responders)}
    service = Service(victim, {}, made, format=answer_format(labels))
    return service.answer(run.pool.float() / 255, ["a"] * len(run.pool))


def test_labels_are_what_hard_answers_say():
    assert torch.equal(answered("soft", Truncation()), answered("hard"))
    assert torch.equal(answered("hard", Truncation(kind="top", k=2)), answered("hard"))


def test_fewer_decimals_leave_fewer_answers():
    answers = [answered("soft", Truncation(kind="round", decimals=d)) for d in (1, 2, 15)]

    counts = [len(Counter(map(tuple, rows.tolist()))) for rows in answers]
    assert counts == sorted(counts)
    assert counts[0] < counts[-1] == 96


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"kind": "top", "k": 2},
        {"kind": "top", "k": 99},
        {"kind": "round", "decimals": 0},
        {"driven_by": ("any",)},
    ],
    ids=str,
)
def test_it_keeps_the_contract_of_responders(options):
    check_responder(Truncation(**options))


@pytest.mark.parametrize(
    ("option", "value", "error"),
    [
        ("k", 0, BadOption),
        ("decimals", -1, BadOption),
        ("decimals", 16, BadOption),
        ("driven_by", [""], BadOption),
        ("kind", "logits", UnknownName),
    ],
)
def test_an_option_without_meaning_is_refused(option, value, error):
    with pytest.raises(error, match=f"truncation.{option}|logits"):
        plugins.build("defenses", "truncation", {option: value})


@pytest.mark.slow
def test_labels_alone_still_teach_and_are_what_hard_answers_teach(victims):
    """Knockoff Nets, on digits: a thief who is told the label only does not lose much."""
    common = {"dataset": "digits", "attack": "knockoffnet", "threads": 1, "cache": victims}
    options = {"training": TRAINING, "knockoffnet": {**ADAM, "epochs": 15}}
    common |= {"benign_clients": 5, "options": options}

    plain, hard = launch(common), launch({**common, "labels": "hard"})
    cut = launch({**common, "defense": ("truncation",)})

    assert cut["substitute"] == hard["substitute"]
    assert cut["benign"]["changed"] == cut["responders"]["truncation"]["changed"] == 0
    assert cut["substitute"]["fidelity"] > plain["substitute"]["fidelity"] - 0.2
    assert cut["substitute"]["fidelity"] > 0.6
