"""What is asked again and by whom, and what is made of answers that do not agree."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from plugins.oracles import CLASSES, Notes, by_pixels, pictures
from plugins.thefts import asked, guarded

from ringfence import plugins
from ringfence.errors import BadOption, BudgetExhausted, UnknownName, WrongNumber
from ringfence.images import as_float
from ringfence.inference import predict, share
from ringfence.testing import check_recovery, tiny_experiment
from ringfence_probing import Probing
from ringfence_probing.judge import differ, elected


def wrapped(oracle, **options):
    recovery = Probing(**options).make_recovery(tiny_experiment().for_attack("it"))
    return recovery, recovery.wrap(oracle)


@st.composite
def several_answers(draw):
    """``(A, N, K)``: soft or hard, alike or not, refusals among them."""
    asks, classes = draw(st.integers(1, 6)), draw(st.integers(2, 5))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    answers = random.dirichlet(np.ones(classes), size=(asks, 30))
    if draw(st.booleans()):
        answers = np.eye(classes)[answers.argmax(-1)]
    answers[random.random((asks, 30)) < draw(st.sampled_from([0, 0.3]))] = 0
    answers[:, 0] = 0  # refused every time
    answers[:, 1] = answers[0, 1]  # always the same
    return torch.from_numpy(answers)


def vote(rows):
    """Count by hand: the mean of those that say what most say, the first of equals."""
    told = [row for row in rows if row.any()]
    if not told:
        return np.zeros(rows.shape[1])
    counts = Counter(int(row.argmax()) for row in told)
    winner = next(int(r.argmax()) for r in told if counts[int(r.argmax())] == max(counts.values()))
    return np.mean([row for row in told if row.argmax() == winner], axis=0)


def quarrel(rows, tolerance):
    told = [row for row in rows if row.any()]
    if tolerance is None:
        return len({int(row.argmax()) for row in told}) > 1
    return any(np.abs(one - other).sum() > tolerance for one in told for other in told)


@settings(deadline=None)
@given(several_answers(), st.sampled_from([None, 0.0, 0.2, 1.0]))
def test_votes_and_doubts_are_those_counted_by_hand(answers, tolerance):
    by_image = answers.numpy().swapaxes(0, 1)

    np.testing.assert_allclose(
        elected(answers).numpy(), [vote(rows) for rows in by_image], rtol=0, atol=1e-12
    )
    assert differ(answers, tolerance).tolist() == [quarrel(rows, tolerance) for rows in by_image]


@settings(deadline=None)
@given(st.integers(2, 6), st.integers(0, 60), st.integers(1, 7))
def test_the_budget_is_spent_to_the_last_query(asks, budget, size):
    oracle = Notes(budget)
    recovery, probing = wrapped(oracle, asks=asks, then="discard")
    images = -(-budget // asks)  # the last of them is asked with what is left

    assert probing.remaining == images
    while probing.remaining:
        before = probing.remaining
        probing.query(pictures(min(size, before)))
        assert probing.remaining == before - min(size, before)
    assert oracle.remaining == 0
    assert recovery.report()["queries"] == budget
    assert recovery.report()["discarded"] == budget - images


@pytest.mark.parametrize("budget", [31, 32, 33])
def test_answers_agree_where_nothing_was_changed(budget):
    oracle, images = Notes(budget), pictures(11)

    recovery, probing = wrapped(oracle, noise=0.0)
    torch.testing.assert_close(probing.query(images), by_pixels(images))

    assert recovery.report() == {"queries": budget, "discarded": budget - 11, "doubted": 0}


def test_an_image_is_asked_itself_and_then_with_small_changes():
    oracle, images = Notes(100), pictures(10)
    wrapped(oracle, noise=0.05, asks=4)[1].query(images)

    first, *others = oracle.sent.split(10)
    assert torch.equal(first, images)
    assert len(others) == 3
    for copies in others:
        change = (copies - images).abs()
        assert 0.04 < change.max() <= 0.05 + 1e-6
        assert 0.02 < change.mean() < 0.026  # 0.025 but for what was clipped
        assert bool(((copies >= 0) & (copies <= 1)).all())
    assert not torch.equal(others[0], others[1])


def test_a_moved_copy_is_moved():
    oracle, images = Notes(100), pictures(20)
    wrapped(oracle, noise=0.0, shift=1)[1].query(images)

    moved = oracle.sent[20:40]
    padded = F.pad(images, (1,) * 4)
    places = torch.stack(
        [padded[..., y : y + 8, x : x + 8] for y in range(3) for x in range(3)], dim=1
    )
    assert bool((moved[:, None] == places).flatten(2).all(-1).any(-1).all())
    assert not torch.equal(moved, images)


def test_through_accounts_the_same_image_is_asked_by_others():
    oracle, images = Notes(100, ("a", "b", "c")), pictures(7)
    recovery, probing = wrapped(oracle, by="account", asks=2, then="discard")
    probing.query(images[:4])
    probing.query(images[4:])

    assert torch.equal(oracle.sent, torch.cat([images[:4]] * 2 + [images[4:]] * 2))
    assert "".join(oracle.senders) == "abca" + "bcab" + "bca" + "cab"
    assert recovery.report()["discarded"] == 7


def test_accounts_that_an_outer_recovery_named_are_kept():
    names = ["c", "a"]
    changed, account = (Notes(100, ("a", "b", "c")) for _ in range(2))
    wrapped(changed)[1].query(pictures(2), names)
    wrapped(account, by="account")[1].query(pictures(2), names)

    assert "".join(changed.senders) == "ca" * 3
    assert "".join(account.senders) == "ca" + "ab" + "bc"


def liar(accounts):
    """Return a rule under which the first of ``accounts`` always gets the next class."""
    asked = []

    def rule(images):
        turns = range(len(asked), len(asked) + len(images))
        asked.extend(turns)
        answers = by_pixels(images)
        lied = torch.tensor([accounts.senders[turn] == "a" for turn in turns])
        return torch.where(lied[:, None], answers.roll(1, -1), answers)

    return rule


@pytest.mark.parametrize("then", ["vote", "discard"])
def test_lies_to_one_account_are_out_voted_or_discarded(then):
    oracle, images = Notes(300, ("a", "b", "c")), pictures(50)
    oracle.rule = liar(oracle)
    recovery, probing = wrapped(oracle, by="account", then=then)
    answers = probing.query(images)

    assert recovery.report()["doubted"] == 50
    expected = by_pixels(images) if then == "vote" else torch.zeros(50, CLASSES)
    torch.testing.assert_close(answers, expected)


def test_with_more_accounts_than_asks_most_images_never_meet_the_marked_one():
    oracle, images = Notes(300, tuple("abcde")), pictures(50)
    oracle.rule = liar(oracle)
    recovery, _ = wrapped(oracle, by="account", asks=2, then="discard")
    recovery.wrap(oracle).query(images)

    assert recovery.report()["doubted"] == 20  # two accounts of five see each image


def test_softly_changed_answers_are_doubted_beyond_the_tolerance():
    oracle = Notes(300)
    numbers = torch.arange(300) % 3
    oracle.rule = lambda images: (
        by_pixels(images) * 0.9 + 0.1 * F.one_hot(numbers[: len(images)], CLASSES)
    )
    for tolerance, doubted in ((0.1, 29), (0.3, 0), (None, 0)):
        recovery, probing = wrapped(oracle, noise=0.0, asks=2, then="discard", tolerance=tolerance)
        flat = pictures(29) * 0
        flat[:, 0, 0, 3] = 1  # a clear winner
        probing.query(flat)

        assert recovery.report()["doubted"] == doubted


def test_too_many_images_are_refused_and_nothing_is_spent():
    oracle = Notes(30)
    recovery, probing = wrapped(oracle)
    with pytest.raises(BudgetExhausted):
        probing.query(pictures(11))

    assert oracle.remaining == 30
    assert recovery.report() == {"queries": 0, "discarded": 0, "doubted": 0}
    assert probing.query(pictures(0)).shape == (0, CLASSES)


def test_too_few_accounts_are_an_error_with_both_numbers():
    with pytest.raises(WrongNumber, match=r"3 accounts, but the attacker has 2\. .*clients 3"):
        wrapped(Notes(30, ("a", "b")), by="account")


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"then": "discard", "asks": 2, "tolerance": 0.1},
        {"asks": 5, "shift": 2},
        {"by": "account", "then": "discard", "asks": 2},
    ],
    ids=str,
)
def test_it_keeps_the_contract_of_recoveries(options):
    check_recovery(Probing(**options))


@pytest.mark.parametrize(
    ("option", "value", "error"),
    [
        ("asks", 1, BadOption),
        ("asks", 17, BadOption),
        ("noise", -0.1, BadOption),
        ("shift", -1, BadOption),
        ("tolerance", -1.0, BadOption),
        ("by", "mail", UnknownName),
        ("then", "hope", UnknownName),
    ],
)
def test_an_option_without_meaning_is_refused(option, value, error):
    with pytest.raises(error, match=f"probing.{option}"):
        plugins.build("attacks", "probing", {option: value})


def test_a_vote_of_two_is_refused():
    with pytest.raises(BadOption, match="'probing' refused its options: 'asks' must be >= 3"):
        plugins.build("attacks", "probing", {"asks": 2})


@pytest.mark.slow
def test_changed_images_find_out_what_the_same_image_through_accounts_cannot(tmp_path):
    """AMAO, section 5.6.2, of DAWN on digits: one input, one answer; a changed input, another."""
    options = {"dawn": {"rate": 0.0625}}
    given = {"labels": "hard", "budget": 6000, "attacker_clients": 3, "options": options}
    run, _, guard = guarded(tmp_path, "dawn", **given)
    images = as_float(run.pool[:1000])
    honest = predict(guard.victim.model, images)

    def told(**options):
        recovery = Probing(**options).make_recovery(run.for_attack("probing"))
        answers = recovery.wrap(asked(run, guard)).query(images)
        return share(answers.argmax(-1) != honest), recovery.report()["doubted"]

    bare = asked(run, guard).query(images).argmax(-1) != honest
    changed, doubted = told()
    assert 0.04 < share(bare) < 0.09
    assert told(by="account") == (share(bare), 0)
    assert changed < share(bare) / 2
    assert doubted > 120  # 1 - (15/16)^3, 17.6 percent
