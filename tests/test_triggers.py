"""What counts as a trigger, and what a model is asked."""

from __future__ import annotations

import pytest
import torch
from attrs import define, field
from hypothesis import given
from hypothesis import strategies as st

from ringfence.images import pixels
from ringfence.triggers import TriggerSet, hits, shortened, trigger_sets
from ringfence.types import Pairs


def image(shade):
    return torch.full((1, 2, 2), shade / 255)


def pairs(*rows):
    """Return pairs from (shade, answer, client)."""
    images = torch.stack([image(shade) for shade, _, _ in rows])
    answers = torch.tensor([answer for _, answer, _ in rows]).double()
    return Pairs(images, answers, tuple(client for _, _, client in rows))


def test_each_client_has_a_set_in_which_an_image_counts_once():
    sets = trigger_sets(
        pairs(
            (1, [0.0, 1.0], "a"),
            (2, [1.0, 0.0], "b"),
            (1, [0.0, 1.0], "a"),
            (1, [0.0, 1.0], "b"),
            (3, [0.6, 0.4], "a"),
        )
    )

    assert [(one.client, one.labels.tolist()) for one in sets] == [("a", [1, 0]), ("b", [0, 1])]
    assert torch.equal(sets[0].images, torch.stack([image(1), image(3)]))


def test_answers_without_a_single_top_class_count_not_at_all():
    tied, refused, clear = [0.5, 0.5], [0.0, 0.0], [0.2, 0.8]

    [one] = trigger_sets(pairs((1, tied, "a"), (2, refused, "b"), (3, clear, "c")))

    assert (one.client, len(one)) == ("c", 1)


def test_an_empty_ledger_has_no_sets():
    assert trigger_sets(Pairs(torch.empty(0), torch.empty(0), ())) == []
    assert shortened([], 10) == []


def made(sizes):
    images = torch.rand(max(sizes, default=0), 1, 2, 2)
    return [TriggerSet(f"c{n}", images[:size], torch.zeros(size)) for n, size in enumerate(sizes)]


@given(st.lists(st.integers(0, 40), max_size=6), st.integers(0, 150))
def test_sets_are_cut_to_one_size_that_spends_what_there_is(sizes, limit):
    cut = shortened(made(sizes), limit)
    kept = [len(one) for one in cut]
    most = max(kept, default=0)

    assert sum(kept) <= limit
    assert sorted(kept) == sorted(min(size, most) for size in sizes if min(size, most))
    if most < max(sizes, default=0):  # one more of each would be too many
        assert sum(min(size, most + 1) for size in sizes) > limit


@define
class Shades:
    """An oracle that answers whether an image is bright, and refuses black."""

    asked: list = field(factory=list)
    clients: tuple = ("a",)
    num_classes: int = 2
    remaining: int = 10_000

    def query(self, images, clients=None):
        self.asked.append(len(images))
        bright = (images.mean((1, 2, 3)) > 0.5).long()
        answers = torch.nn.functional.one_hot(bright, 2).double()
        answers[images.sum((1, 2, 3)) == 0] = 0
        return answers


def test_hits_are_counted_per_set_and_a_refusal_hits_nothing():
    oracle = Shades()
    bright, dark = image(200), image(20)
    sets = [
        TriggerSet("a", torch.stack([bright, dark, dark]), torch.tensor([1, 1, 0])),
        TriggerSet("b", torch.stack([image(0), bright]), torch.tensor([0, 0])),
    ]

    assert hits(oracle, sets) == [2, 0]
    assert oracle.asked == [5]
    assert hits(oracle, []) == []


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32, torch.float64])
def test_pixels_have_one_form_whatever_the_dtype(dtype):
    whole = torch.arange(2 * 3 * 4 * 5).view(2, 3, 4, 5).to(torch.uint8)
    given = whole if dtype == torch.uint8 else (whole.double() / 255).to(dtype)
    expected = [one.numpy().transpose(1, 2, 0).tobytes() for one in whole]

    assert pixels(given) == expected
    assert pixels(given[:0]) == []
    assert pixels(given.flip(0)) == expected[::-1]
