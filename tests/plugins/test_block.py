"""Who is blocked, what a suspect is told, and that it only looks random."""

from __future__ import annotations

from collections import Counter
from itertools import permutations

import numpy as np
import pytest
import torch
from attrs import define
from hypothesis import given, settings
from hypothesis import strategies as st
from plugins.thefts import TRAINING

from ringfence import plugins
from ringfence.answers import answer_format, refused
from ringfence.errors import BadOption, UnknownName, WrongNumber
from ringfence.launch import launch
from ringfence.service import Service
from ringfence.testing import check_responder, tiny_experiment
from ringfence.types import Queries, Verdict
from ringfence_block import MOST, Block
from ringfence_block.shuffle import draws, shuffled

SECRET = b"s" * 32


def queries(count, clients=("a", "b", "c"), seed=0):
    images = torch.rand(count, 1, 8, 8, generator=torch.Generator().manual_seed(seed))
    names = tuple(clients[row % len(clients)] for row in range(count))
    return Queries(images, names, torch.arange(count) // len(clients))


@settings(deadline=None)
@given(st.integers(2, 12), st.integers(2, MOST), st.integers(0, 2**32 - 1))
def test_the_largest_change_places_as_the_number_says_and_the_rest_stays(classes, top, seed):
    random = np.random.default_rng(seed)
    probs = random.dirichlet(np.ones(classes), size=20)
    probs[0] = 1 / classes  # equals
    numbers = random.random(20)
    expected = probs.copy()
    for row, number in enumerate(numbers):
        places = sorted(range(classes), key=lambda place: -probs[row, place])[:top]
        orders = list(permutations(range(len(places))))
        order = orders[int(number * len(orders))]
        expected[row, places] = probs[row, [places[one] for one in order]]

    actual = shuffled(torch.from_numpy(probs), torch.from_numpy(numbers), top)

    np.testing.assert_array_equal(actual.numpy(), expected)


def test_every_order_is_as_likely():
    probs = torch.tensor([[0.1, 0.5, 0.05, 0.2, 0.15]], dtype=torch.float64).expand(6000, -1)

    told = Counter(map(tuple, shuffled(probs, draws_of(6000), 3)[:, [1, 3, 4]].tolist()))

    assert set(told) == set(permutations((0.5, 0.2, 0.15)))
    assert all(850 < count < 1150 for count in told.values())  # 1000 expected, deviation 29


def draws_of(count, by_image=False):
    return draws(SECRET, queries(count), torch.arange(count), by_image=by_image)


def test_an_order_depends_on_client_and_number_or_on_the_image_alone():
    once, again = queries(30), queries(30, clients=("x", "y"))
    rows = torch.tensor([3, 17, 5])

    for by_image in (False, True):
        all_rows = draws(SECRET, once, torch.arange(30), by_image=by_image)
        assert torch.equal(draws(SECRET, once, rows, by_image=by_image), all_rows[rows])
        assert len(set(all_rows.tolist())) == 30
        assert not torch.equal(draws(b"t" * 32, once, rows, by_image=by_image), all_rows[rows])
        others = draws(SECRET, again, torch.arange(30), by_image=by_image)
        assert torch.equal(all_rows, others) == by_image


def test_draws_lie_evenly_in_the_unit_interval():
    numbers = draws_of(20_000)

    assert bool(((numbers >= 0) & (numbers < 1)).all())
    counts = np.histogram(numbers, bins=20, range=(0, 1))[0]
    assert abs(counts - 1000).max() < 160  # deviation 31


def answered(plugin, suspects, labels="soft", names=("one",)):
    """Return honest and sent answers; ``suspects``: clients, by detector."""

    @define(eq=False)
    class Suspects:
        who: tuple

        def inspect(self, asked, logits):
            guilty = torch.tensor([client in self.who for client in asked.clients])
            return Verdict("", guilty.double(), guilty, guilty)

    run = tiny_experiment()
    torch.manual_seed(0)
    victim, asked = run.new_model().eval(), queries(60)
    responders = {"block": plugin.make_responder(run.for_defense("block"))}
    detectors = dict(zip(names, map(Suspects, suspects), strict=True))
    service = Service(victim, detectors, responders, format=answer_format(labels))
    plain = Service(victim, format=answer_format(labels))
    return [one.answer(asked.images, asked.clients) for one in (plain, service)], asked.clients


@pytest.mark.parametrize("labels", ["soft", "hard", "top2", "round1"])
def test_a_suspect_is_refused_in_every_format_and_nobody_else(labels):
    (honest, sent), clients = answered(Block(), [("b",)], labels)
    blocked = torch.tensor([client == "b" for client in clients])

    assert torch.equal(refused(sent), blocked)
    assert torch.equal(sent[~blocked], honest[~blocked])


def test_a_suspect_gets_the_three_largest_in_another_order():
    (honest, sent), clients = answered(Block(answer="shuffle"), [("b",)])
    blocked = torch.tensor([client == "b" for client in clients])

    assert torch.equal(sent[~blocked], honest[~blocked])
    assert torch.equal(sent[blocked].sort(-1).values, honest[blocked].sort(-1).values)
    assert torch.equal(sent.amin(-1), honest.amin(-1))  # four classes: the last keeps its place
    changed = (sent != honest).any(-1)[blocked].double().mean()
    assert 0.6 < changed < 1  # five orders of six, 20 queries


def test_driven_by_names_whose_suspicion_counts():
    for driven_by, blocked in (
        ((), "ab"),
        (("one",), "a"),
        (("two",), "b"),
        (("one", "two"), "ab"),
    ):
        (_, sent), clients = answered(Block(driven_by=driven_by), ["a", "b"], names=["one", "two"])

        assert {c for c, row in zip(clients, refused(sent).tolist(), strict=True) if row} == set(
            blocked
        )


def test_without_any_detector_it_is_refused():
    with pytest.raises(WrongNumber, match="'block' acts on what a detector suspects"):
        launched_with("block")


def launched_with(*defense, **more):
    return launch({"dataset": "toy_blobs", "defense": defense, **more})


def test_a_driver_that_is_not_selected_is_refused_by_name():
    with pytest.raises(BadOption, match=r"driven by 'nobody'.*toy_detector"):
        launched_with("toy_detector", "block", options={"block": {"driven_by": ["nobody"]}})


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"answer": "shuffle"},
        {"answer": "shuffle", "key": "image", "top": 2},
        {"answer": "shuffle", "top": MOST, "driven_by": ("any",)},
        {"driven_by": ("other",)},
    ],
    ids=str,
)
def test_it_keeps_the_contract_of_responders(options):
    check_responder(Block(**options))


@pytest.mark.parametrize(
    ("option", "value", "error"),
    [
        ("top", 1, BadOption),
        ("top", MOST + 1, BadOption),
        ("driven_by", [""], BadOption),
        ("answer", "lie", UnknownName),
        ("key", "clock", UnknownName),
    ],
)
def test_an_option_without_meaning_is_refused(option, value, error):
    with pytest.raises(error, match=f"block.{option}"):
        plugins.build("defenses", "block", {option: value})


@pytest.mark.slow
def test_a_thief_learns_nothing_from_the_alarm_on(victims):
    """PRADA's point, on digits: it is the queries after the alarm that are saved."""
    options = {"training": TRAINING, "jbdatr": {"epochs": 3}, "prada": {"latch": True}}
    common = {"dataset": "digits", "attack": "jbdatr", "budget": 600, "benign_clients": 5}
    common |= {"threads": 1, "cache": victims, "options": options}

    plain, blocked = (launch({**common, "defense": d}) for d in (("prada",), ("prada", "block")))

    alarm = plain["detectors"]["prada"]["first_alarm"]
    assert blocked["detectors"]["prada"]["first_alarm"] == alarm < 400
    assert blocked["responders"]["block"]["changed"] == pytest.approx((601 - alarm) / 600)
    assert blocked["benign"]["changed"] == 0
    assert blocked["substitute"]["accuracy"] < plain["substitute"]["accuracy"]
