"""Pools of the victim's own distribution: its training images, or half of them, withheld."""

from __future__ import annotations

import pytest
import torch
from attrs import define
from hypothesis import given, settings
from hypothesis import strategies as st
from ringfence_toys.data import ToyBlobs
from torch import nn

import ringfence
from ringfence import grid
from ringfence.choice import Choice
from ringfence.errors import BadOption, UnknownName
from ringfence.ownpool import withhold
from ringfence.setup import prepare
from ringfence.types import ImageSet, Split

TOY = {"dataset": "toy_blobs", "attack": "toy_random_queries", "budget": 50, "benign_clients": 2}


def prepared(**given):
    return prepare(Choice(**TOY, **given))[0]


def images_of(*tensors):
    return [{bytes(image.numpy()) for image in images} for images in tensors]


def test_train_is_what_the_victim_learns_from():
    run = prepared(pool="train")

    assert torch.equal(run.pool, run.train.images)
    assert run.pool_labels is None
    assert run.spec["pool"] == "train"
    assert run.spec["marks"] == ["pool_is_train"]


def test_half_is_kept_from_the_victim():
    run, whole = prepared(pool="half"), ToyBlobs().load(None, True).train
    pool, train, validation = images_of(run.pool, run.train.images, run.validation.images)

    assert not pool & (train | validation)
    assert pool | train | validation == images_of(whole.images)[0]
    assert len(run.pool) == len(whole) // 2
    assert run.pool_labels is None
    assert run.spec["pool"] == "half"
    assert run.spec["marks"] == ["pool_is_half"]


def test_the_victim_of_half_the_data_is_another_one():
    assert prepared(pool="half").victim_key() != prepared().victim_key()
    assert prepared(pool="train").victim_key() == prepared().victim_key()


def test_both_halves_have_the_same_classes_and_no_group_is_torn():
    groups = torch.arange(600) // 6
    images = torch.arange(600)[:, None, None, None].expand(600, 1, 2, 2).float() / 600
    split = Split(images, groups % 5)
    data = ImageSet(split, split, 5, groups=groups)

    rest, away = withhold(data, torch.Generator().manual_seed(0))

    gone = (away[:, 0, 0, 0] * 600).round().long()
    assert torch.bincount(gone % 600 // 6 % 5).tolist() == [60] * 5
    assert not set(rest.groups.tolist()) & set(groups[gone].tolist())
    assert len(rest.groups) == len(rest.train) == 300


@settings(deadline=None)
@given(st.lists(st.integers(0, 3), min_size=2, max_size=60), st.integers(0, 99))
def test_whatever_the_labels_every_image_is_on_one_side(labels, seed):
    labels = torch.tensor(labels)
    images = torch.arange(len(labels))[:, None, None, None].float() / 64
    data = ImageSet(Split(images, labels), Split(images, labels), 4)

    rest, away = withhold(data, torch.Generator().manual_seed(seed))

    both = torch.cat([rest.train.images, away]).flatten().sort().values
    assert torch.equal(both, images.flatten())
    assert set(rest.train.labels.tolist()) == set(labels.tolist())


def test_a_run_is_told_and_done():
    [result] = ringfence.evaluate(
        nn.Sequential(nn.Flatten(), nn.Linear(64, 4)),
        "toy_blobs",
        attacks=["toy_random_queries"],
        pool="train",
        budget=50,
        benign_clients=2,
    ).results.values()

    assert result["run"]["pool"] == "train"
    assert result["run"]["marks"] == ["pool_is_train", "given_victim"]


def test_a_trained_victim_has_seen_both_halves():
    with pytest.raises(BadOption, match="was not kept from 'half'"):
        ringfence.evaluate(nn.Linear(1, 1), "toy_blobs", pool="half")


def test_the_names_are_those_of_the_pool_alone(tmp_path):
    with pytest.raises(UnknownName, match="No data set is named 'train'"):
        prepared(outliers="train")
    file = tmp_path / "sweep.toml"
    text = '[run]\ndataset = "toy_blobs"\nattack = "toy_random_queries"\n[grid]\n'
    file.write_text(f'{text}pool = ["train", "half"]\n')
    assert len(grid.read(file).runs) == 2
    file.write_text(f'{text}outliers = ["half"]\n')
    with pytest.raises(ringfence.RingfenceError, match="No data set is named 'half'"):
        grid.read(file)


@define(eq=False)
class Empty:
    def load(self, root, offline):
        blobs = ToyBlobs().load(root, offline)
        return ImageSet(blobs.train, blobs.test, 4, blobs.pool[:0])


def test_a_pool_without_images_is_refused_before_anything_is_trained():
    own = {("datasets", "given"): Empty()}
    choice = Choice(**{**TOY, "dataset": "given", "model": "toy_mlp"})
    with pytest.raises(BadOption, match="pool has no images"):
        prepare(choice, own)
