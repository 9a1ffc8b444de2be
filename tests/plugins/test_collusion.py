"""Who sends what: evenly, and similar images apart, against every other way of dealing."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from plugins.oracles import Notes, by_pixels, pictures
from plugins.thefts import guarded
from scipy.stats import shapiro

from ringfence import plugins
from ringfence.errors import BadOption, BudgetExhausted, UnknownName, WrongNumber
from ringfence.inference import predict
from ringfence.testing import check_recovery, tiny_experiment
from ringfence_collusion import Collusion
from ringfence_collusion.apart import Apart

WAYS = ["similar", "random", "turn"]


def wrapped(oracle, **options):
    recovery = Collusion(**options).make_recovery(tiny_experiment().for_attack("it"))
    return recovery, recovery.wrap(oracle)


@settings(deadline=None)
@given(st.sampled_from(WAYS), st.integers(2, 6), st.lists(st.integers(0, 11), max_size=8))
def test_every_account_sends_one_query_a_round_whatever_the_batches(deal, accounts, sizes):
    oracle = Notes(1000, tuple("abcdef"[:accounts]))
    recovery, colluding = wrapped(oracle, deal=deal)
    images = pictures(sum(sizes))
    answers = [colluding.query(part) for part in images.split(sizes)] if sizes else []

    if sizes:
        assert torch.equal(torch.cat(answers), by_pixels(images))
        assert torch.equal(torch.stack(oracle.images or [images]), images) or not sum(sizes)
    for start in range(0, len(oracle.senders), accounts):
        one_round = oracle.senders[start : start + accounts]
        assert len(set(one_round)) == len(one_round)
    assert recovery.report()["most"] - recovery.report()["fewest"] <= 1
    assert recovery.report()["discarded"] == 0


def test_five_accounts_send_a_fifth_each():
    for deal in WAYS:
        oracle = Notes(1000, tuple("abcde"))
        recovery, colluding = wrapped(oracle, deal=deal)
        for part in pictures(1000).split(64):
            colluding.query(part)

        assert sorted(oracle.senders) == sorted("abcde" * 200)
        assert recovery.report() == {"accounts": 5, "most": 200, "fewest": 200, "discarded": 0}


def round_by_round(images, accounts):
    """Deal in float64 numpy, trying every order of the accounts in each round."""
    points = images.flatten(1).double().numpy()
    own = [[] for _ in range(accounts)]

    def distance(row, account):
        gaps = [np.linalg.norm(points[row] - points[other]) for other in own[account]]
        return min(gaps, default=8.0)  # the diagonal of 64 pixels

    owners = []
    for start in range(0, len(points), accounts):
        rows = range(start, min(start + accounts, len(points)))
        best = max(
            permutations(range(accounts), len(rows)),
            key=lambda order: sum(map(distance, rows, order)),
        )
        for row, account in zip(rows, best, strict=True):
            own[account].append(row)
        owners += best
    return owners


@settings(deadline=None, max_examples=30)
@given(st.integers(2, 4), st.integers(1, 30), st.integers(0, 99))
def test_similar_ones_are_dealt_as_a_search_over_all_orders_deals_them(accounts, count, seed):
    images = pictures(count, seed)

    dealt = Apart(accounts, 1000).deal(images)

    assert dealt == round_by_round(images, accounts)


@settings(deadline=None, max_examples=30)
@given(st.integers(2, 4), st.integers(0, 10), st.integers(0, 99))
def test_cutting_at_the_end_of_a_round_changes_nothing(accounts, rounds, seed):
    images = pictures(accounts * (rounds + 2), seed)
    whole, parts = Apart(accounts, 1000), Apart(accounts, 1000)

    cut = accounts * rounds
    halves = [parts.deal(images[:cut]) if cut else [], parts.deal(images[cut:])]

    assert halves[0] + halves[1] == whole.deal(images)


def families(count, size, spread=0.02):
    """Return ``count`` images, then ``size - 1`` times a copy of each with a little noise."""
    random, first = torch.Generator().manual_seed(1), pictures(count)
    copies = [first + spread * torch.randn(first.shape, generator=random) for _ in range(size - 1)]
    return torch.cat([first, *copies]).clamp(0, 1)


def nearest_own(images, senders):
    """Return the distance of every query to the nearest earlier one of the same account."""
    gaps = torch.cdist(images.flatten(1).double(), images.flatten(1).double()).numpy()
    senders = np.array(senders)
    return [
        gaps[row, :row][senders[:row] == senders[row]].min()
        for row in range(len(senders))
        if (senders[:row] == senders[row]).any()
    ]


def test_no_account_sends_two_of_a_family_while_there_are_accounts_enough():
    images = families(60, 4)
    close = {}
    for deal in WAYS:
        oracle = Notes(1000, tuple("abcde"))
        _, colluding = wrapped(oracle, deal=deal)
        for part in images.split(50):
            colluding.query(part)
        close[deal] = sum(gap < 1 for gap in nearest_own(images, oracle.senders))

    assert close["turn"] == 180  # 60 is a multiple of 5: the whole family, always
    assert 40 < close["random"] < 140
    assert close["similar"] <= 2


def test_only_the_latest_queries_are_remembered():
    apart, short = Apart(2, 1000), Apart(2, 4)
    images = torch.cat([pictures(6), pictures(6)])
    dealt, forgot = ([one.deal(part) for part in images.split(6)] for one in (apart, short))

    assert [1 - owner for owner in dealt[0]] == dealt[1]  # never to who sent it before
    assert forgot[0] == dealt[0]
    assert short._sent.shape == (4, 64)


def test_large_images_are_compared_by_less():
    apart = Apart(2, 10)
    apart.deal(pictures(3, side=50))

    assert apart._sent.shape == (3, 256)


def test_accounts_that_the_attack_names_are_kept():
    oracle = Notes(100, ("a", "b"))
    recovery, colluding = wrapped(oracle)
    colluding.query(pictures(3), ["b", "b", "b"])

    assert oracle.senders == ["b"] * 3
    assert recovery.report()["most"] == 3


def test_too_many_images_are_refused_and_nobody_is_dealt_anything():
    oracle = Notes(5, ("a", "b"))
    recovery, colluding = wrapped(oracle, deal="turn")
    with pytest.raises(BudgetExhausted):
        colluding.query(pictures(6))
    colluding.query(pictures(5))

    assert oracle.senders == ["a", "b", "a", "b", "a"]
    assert recovery.report()["accounts"] == 2


def test_one_account_cannot_collude():
    with pytest.raises(WrongNumber, match="--attacker-clients 2"):
        wrapped(Notes(5))


@pytest.mark.parametrize("deal", WAYS)
def test_it_keeps_the_contract_of_recoveries(deal):
    check_recovery(Collusion(deal=deal))


@pytest.mark.parametrize(
    ("option", "value", "error"), [("deal", "fair", UnknownName), ("remember", 0, BadOption)]
)
def test_an_option_without_meaning_is_refused(option, value, error):
    with pytest.raises(error, match=f"collusion.{option}"):
        plugins.build("attacks", "collusion", {option: value})


def normality(images, classes):
    """Return PRADA's W of one account's queries: distances to the nearest earlier of the class."""
    gaps = torch.cdist(images.flatten(1).double(), images.flatten(1).double()).numpy()
    found = np.array(
        [
            gaps[row, :row][classes[:row] == classes[row]].min()
            for row in range(len(images))
            if (classes[:row] == classes[row]).any()
        ]
    )
    return shapiro(found[np.abs(found - found.mean()) <= 3 * found.std()]).statistic


@pytest.mark.slow
def test_accounts_that_collude_look_more_normal_than_one(tmp_path):
    """AMAO, section 5.6.1 and Figure 8, on digits: JBDA-TR from one account, and from five."""
    options = {"jbdatr": {"epochs": 3}}
    run, selected, guard = guarded(tmp_path, attack="jbdatr", budget=800, options=options)
    thief = Notes(
        800, rule=lambda images: guard.service.answer(images, ["a"] * len(images)).float()
    )
    selected["jbdatr"].make_attack(run.for_attack("jbdatr")).extract(thief)
    classes = predict(guard.victim.model, thief.sent).numpy()
    close = {}
    for deal in WAYS:
        oracle = Notes(800, tuple("abcde"))
        _, colluding = wrapped(oracle, deal=deal)
        for part in thief.sent.split(100):
            colluding.query(part)
        senders = np.array(oracle.senders)
        close[deal] = [
            normality(thief.sent[senders == one], classes[senders == one]) for one in "abcde"
        ]

    alone = normality(thief.sent, classes)
    assert alone < 0.95 < min(close["similar"])
    assert max(close["turn"]) < 0.95  # five divides the seeds: a family has one account
