"""How much cover is sent, by whom, of what; and that the attack sees nothing of it."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction

import pytest
import torch
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st
from plugins.oracles import Notes, among, by_pixels, pictures
from plugins.thefts import guarded

from ringfence import plugins
from ringfence.errors import BadOption, BudgetExhausted, MissingData, UnknownName
from ringfence.images import as_float
from ringfence.inference import logits, share
from ringfence.testing import check_recovery, tiny_experiment
from ringfence_mixing import Mixing

shares = st.integers(0, 99).map(lambda n: n / 100)


def wrapped(oracle, run=None, **options):
    recovery = Mixing(**options).make_recovery(run or tiny_experiment().for_attack("it"))
    return recovery, recovery.wrap(oracle)


def most_wanted(share, budget):
    """Return how many images fit, one after another, each with the least cover that is enough."""
    wanted = sent = 0
    while True:
        needed = sent + 1
        while Fraction(needed - wanted - 1, needed) < Fraction(str(share)):
            needed += 1
        if needed > budget:
            return wanted, sent
        wanted, sent = wanted + 1, needed


@settings(deadline=None)
@given(shares, st.integers(0, 120), st.lists(st.integers(0, 9), min_size=1, max_size=5))
def test_the_share_is_kept_at_the_least_cost_for_any_cut_into_batches(share, budget, sizes):
    oracle = Notes(budget)
    recovery, mixed = wrapped(oracle, share=share)
    wanted, sent = most_wanted(share, budget)

    assert mixed.remaining == wanted
    turn = 0
    while mixed.remaining:
        before, size = mixed.remaining, min(mixed.remaining, max(1, sizes[turn % len(sizes)]))
        mixed.query(pictures(size))
        turn += 1
        assert mixed.remaining == before - size
        asked = wanted - mixed.remaining
        assert Fraction(len(oracle.images) - asked, len(oracle.images)) >= Fraction(str(share))
    assert len(oracle.images) == sent
    assert recovery.report() == {"queries": sent, "discarded": sent - wanted}


def test_seven_eighths_of_cover_are_eight_times_the_cost():
    """The figure of AMAO, section 5.6.1 ("about 10 times" there)."""
    oracle = Notes(10_000)
    recovery, mixed = wrapped(oracle)

    assert mixed.remaining == 1250
    mixed.query(pictures(1250))
    assert oracle.remaining == 0
    assert recovery.report() == {"queries": 10_000, "discarded": 8750}


@pytest.mark.parametrize("share", [0.0, 0.3, 0.5, 0.875])
def test_every_answer_belongs_to_its_image_and_cover_lies_among_them(share):
    oracle, images = Notes(1000), pictures(60)
    _, mixed = wrapped(oracle, share=share)

    answers = torch.cat([mixed.query(part) for part in images.split(25)])

    assert torch.equal(answers, by_pixels(images))
    own = among(oracle.sent, images)
    assert int(own.sum()) == 60
    if share:
        first, last = own.nonzero().flatten()[[0, -1]].tolist()
        assert len(own[first:last]) > 60  # cover is in between


def test_cover_is_copies_of_the_seeds_moved_and_noisy():
    run, oracle = tiny_experiment().for_attack("it"), Notes(100)
    seeds = run.seeds.float() / 255
    _, mixed = wrapped(oracle, run, shift=0, noise=0.02)
    mixed.query(torch.zeros(4, 1, 8, 8))

    cover = oracle.sent[(oracle.sent != 0).flatten(1).any(1)]
    assert len(cover) == 28
    assert bool(((cover >= 0) & (cover <= 1)).all())
    inside = ((seeds > 0.1) & (seeds < 0.9))[:, None]  # where nothing was clipped
    nearest = torch.cdist(cover.flatten(1), seeds.flatten(1)).argmin(1)
    difference = (cover - seeds[nearest])[inside[nearest][:, 0]]
    assert 0.018 < difference.std() < 0.022
    assert len(set(nearest.tolist())) > 4

    moved = Notes(100)
    wrapped(moved, run, shift=1, noise=0.0)[1].query(torch.zeros(4, 1, 8, 8))
    padded = torch.nn.functional.pad(seeds, (1,) * 4)
    places = [padded[..., y : y + 8, x : x + 8] for y in range(3) for x in range(3)]
    assert int(among(moved.sent, torch.cat(places)).sum()) == 28  # all but the attack's own


def test_cover_can_be_made_of_the_pool():
    run, oracle = tiny_experiment().for_attack("it"), Notes(400)
    _, mixed = wrapped(oracle, run, source="pool", shift=0, noise=0.0)
    mixed.query(torch.zeros(40, 1, 8, 8))

    cover = oracle.sent[oracle.sent.flatten(1).any(1)]
    assert len(cover) == 280
    assert bool(among(cover, run.pool.float() / 255).all())
    assert int(among(run.pool.float() / 255, cover).sum()) > 80  # of 96


@pytest.mark.parametrize("share", [0.875, 1 / 3])
def test_every_account_sends_its_part_of_the_cover(share):
    oracle = Notes(2000, ("a", "b", "c"))
    _, mixed = wrapped(oracle, share=round(share, 4))
    mixed.query(pictures(90), ["a"] * 60 + ["b"] * 30)

    own = among(oracle.sent, pictures(90))
    senders = Counter(oracle.senders)
    cover = Counter(c for c, mine in zip(oracle.senders, own.tolist(), strict=True) if not mine)
    assert set(senders) == {"a", "b"}
    assert senders["a"] - cover["a"] == 60
    assert cover["a"] == pytest.approx(cover.total() * 2 / 3, abs=0 if share > 0.5 else 12)


def test_without_names_the_oracle_deals():
    oracle = Notes(80, ("a", "b"))
    wrapped(oracle)[1].query(pictures(10))

    assert oracle.senders == ["a", "b"] * 40


def test_too_many_images_are_refused_and_nothing_is_spent():
    oracle = Notes(79)
    recovery, mixed = wrapped(oracle)

    assert mixed.remaining == 9
    with pytest.raises(BudgetExhausted):
        mixed.query(pictures(10))
    assert oracle.remaining == 79
    assert recovery.report() == {"queries": 0, "discarded": 0}
    assert mixed.query(pictures(9)).shape == (9, 4)
    assert mixed.query(pictures(0)).shape == (0, 4)


def test_no_seeds_are_an_error_that_says_what_to_do():
    run = tiny_experiment().for_attack("it")
    _, mixed = wrapped(Notes(100), evolve(run, seeds=run.seeds[:0]))

    with pytest.raises(MissingData, match=r"Choose mixing\.source"):
        mixed.query(pictures(1))


@pytest.mark.parametrize("options", [{}, {"share": 0.3, "source": "pool"}, {"share": 0.0}], ids=str)
def test_it_keeps_the_contract_of_recoveries(options):
    check_recovery(Mixing(**options))


@pytest.mark.parametrize(
    ("option", "value", "error"),
    [
        ("share", -0.1, BadOption),
        ("share", 1.0, BadOption),
        ("shift", -1, BadOption),
        ("noise", 1.5, BadOption),
        ("source", "test", UnknownName),
    ],
)
def test_an_option_without_meaning_is_refused(option, value, error):
    with pytest.raises(error, match=f"mixing.{option}"):
        plugins.build("attacks", "mixing", {option: value})


@pytest.mark.slow
def test_the_share_of_flagged_queries_falls_to_nearly_an_eighth(tmp_path):
    """AMAO, section 5.6.1: what suspicion sees of a thief with 87.5 percent of cover, on digits."""
    run, _, guard = guarded(tmp_path)

    def sure(images):
        return logits(guard.victim.model, images).softmax(-1).amax(-1)

    threshold = sure(run.validation.images).quantile(0.05)
    view, oracle = run.for_attack("mixing"), Notes(8000)
    images = as_float(view.pool[:1000])
    oracle.num_classes, oracle.rule = run.num_classes, lambda sent: logits(guard.victim.model, sent)
    wrapped(oracle, view)[1].query(images)

    alone = share(sure(images) <= threshold)
    hidden = share(sure(oracle.sent) <= threshold)
    cover = share(sure(oracle.sent[~among(oracle.sent, images)]) <= threshold)
    assert oracle.remaining == 0
    assert alone > 0.2
    assert cover < 0.1
    assert hidden == pytest.approx(alone / 8 + cover * 7 / 8)
    assert hidden < alone / 2
