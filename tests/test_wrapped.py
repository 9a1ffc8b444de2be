"""What recoveries are built from: a wrapped oracle, and the memory of what passed it."""

from __future__ import annotations

import pytest
import torch

from ringfence.images import as_float
from ringfence.protocols import Oracle
from ringfence.seen import Seen
from ringfence.testing import tiny_experiment
from ringfence.testing.tiny import session
from ringfence.wrapped import Wrapped


@pytest.fixture
def run():
    torch.manual_seed(0)
    return tiny_experiment()


def test_a_wrapped_oracle_hands_on_what_it_does_not_change(run):
    inner = session(run, run.new_model(), 20)
    oracle = Wrapped(inner, inner.query, lambda left: left // 3)

    assert isinstance(oracle, Oracle)
    assert (oracle.num_classes, oracle.clients, oracle.remaining) == (4, ("one", "two"), 6)
    assert oracle.query(as_float(run.pool[:2])).shape == (2, 4)


def test_what_passed_is_kept_in_order_with_its_answers(run):
    seen, inner = Seen(), session(run, run.new_model(), 20)
    oracle = seen.wrap(inner)
    images = as_float(run.pool[:7])

    answers = torch.cat([oracle.query(part) for part in (images[:0], images[:3], images[3:])])

    assert len(seen) == 7
    assert seen.pairs()[0].dtype is torch.uint8  # a quarter of the memory, and the same images
    assert torch.equal(as_float(seen.pairs()[0]), images)
    assert torch.equal(seen.pairs()[1], answers)


def test_images_between_two_256ths_are_kept_as_they_are(run):
    seen, images = Seen(), as_float(run.pool[:6])
    images[3:] += (1 - images[3:]) / 3
    oracle = seen.wrap(session(run, run.new_model(), 20))
    for part in images.split(3):
        oracle.query(part)
        kept = part.clone()
        part.zero_()  # the attacker goes on with its tensor
        images = torch.cat([images, kept])

    assert torch.equal(seen.pairs()[0], images[6:])


def test_nothing_was_asked():
    assert [len(part) for part in (Seen(), Seen().images(), *Seen().pairs())] == [0] * 4


def test_refused_queries_are_left_out(run):
    seen, images = Seen(), as_float(run.pool[:4])
    inner = session(run, run.new_model(), 20)
    dark = torch.tensor([False, True, False, True])
    refusing = Wrapped(inner, lambda asked, _: inner.query(asked).masked_fill(dark[:, None], 0))

    seen.wrap(refusing).query(images)

    assert len(seen) == 4
    assert torch.equal(as_float(seen.pairs()[0]), images[~dark])
    assert torch.equal(as_float(seen.images()), images)
