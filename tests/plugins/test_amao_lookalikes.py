"""Which images look alike, from which similarity on, and whether they get the same answer."""

from __future__ import annotations

import imagehash
import numpy as np
import pytest
import torch
from attrs import evolve
from PIL import Image
from plugins.thefts import Thief

from ringfence.images import as_float
from ringfence.pipeline import run_experiment
from ringfence.plugins import find, load
from ringfence.testing import tiny_experiment
from ringfence_amao import Amao
from ringfence_amao.lookalikes import CHANGES, lookalikes
from ringfence_amao.similarity import calibrate, rehearsed_pairs, similarities


def drawn(seed, count=40, side=12):
    """Return smooth random images, which differ in their low frequencies."""
    random = torch.Generator().manual_seed(seed)
    coarse = torch.rand(count, 1, 5, 5, generator=random)
    return torch.nn.functional.interpolate(coarse, (side, side), mode="bilinear")


def test_similarity_is_the_share_of_equal_bits_that_imagehash_finds():
    one, other = drawn(0), drawn(1)
    hashes = [
        [
            imagehash.phash(Image.fromarray((image[0] * 255).round().byte().numpy()))
            for image in side
        ]
        for side in (one, other)
    ]
    expected = [1 - (left - right) / 64 for left, right in zip(*hashes, strict=True)]

    assert similarities((one, other), "median").tolist() == expected


def test_the_threshold_parts_copies_from_strangers():
    images = drawn(0)
    copies = (images + 0.01 * drawn(1)).clamp(0, 1)

    cut = calibrate((images, copies), images, "median")

    assert cut.accuracy > 0.95
    assert (similarities((images, copies), "median") > cut.threshold).double().mean() > 0.9
    assert calibrate((images, drawn(2)), images, "median").accuracy < 0.75


def test_what_an_attack_made_stands_beside_the_nearest_seed():
    run = tiny_experiment().for_defense("it")

    seeds, made = rehearsed_pairs(run, run.new_model().eval(), "jbdatr", 200, "outliers")

    known = as_float(run.rehearse_attack("jbdatr", run.new_model().eval(), 200, "outliers").seeds)
    away = (made[:, None] - known).flatten(2).norm(dim=2)
    assert len(made) == 200 - len(known)
    assert torch.allclose((made - seeds).flatten(1).norm(dim=1), away.min(1).values)


def test_a_calibrated_similarity_takes_the_place_of_the_preset_s(monkeypatch):
    images = drawn(0)
    made = (images, (images + 0.05 * drawn(1)).clamp(0, 1))
    monkeypatch.setattr("ringfence_amao.policy.rehearsed_pairs", lambda *_: made)
    run = tiny_experiment().for_defense("it")
    victim = run.new_model().eval()

    found = calibrate(made, as_float(run.validation.images), "median")

    radius = Amao(calibrate_similarity=True).make_responder(run, victim).policy.radius
    assert radius == np.floor((1 - found.threshold) * 64 + 1e-9)
    given = Amao(calibrate_similarity=True, similarity=0.5).make_responder(run, victim)
    assert given.policy.radius == 32
    never = Amao(calibrate_similarity=True, replay=False).make_responder(run, victim)
    assert never.policy.radius < 0


def test_the_presets_hash_as_they_say():
    run = tiny_experiment().for_defense("it")
    large = evolve(run, image_shape=(3, 224, 224))
    used = [
        Amao(**told).make_responder(where, run.new_model()).policy.hash
        for told in ({}, {"preset": "paper"}, {"hash": "mean_no_dc"})
        for where in (run, large)
    ]

    assert used == ["median", "imagehash", "mean", "mean", "mean_no_dc", "mean_no_dc"]


@pytest.mark.parametrize(
    ("dataset", "radius"), [("mnist", 23), ("fashionmnist", 21), ("cifar10", 23), ("other", 23)]
)
def test_the_paper_s_similarity_is_that_of_its_table(dataset, radius):
    run = evolve(tiny_experiment().for_defense("it"), dataset=dataset)

    assert Amao(preset="paper").make_responder(run, run.new_model()).policy.radius == radius


@pytest.mark.parametrize("kind", CHANGES)
def test_a_changed_image_is_an_image(kind):
    images = drawn(3, side=28)

    changed = CHANGES[kind](images)

    assert changed.shape == images.shape
    assert 0 <= changed.min() <= changed.max() <= 1
    assert not torch.equal(changed, images)


def measured(plugin, **metrics):
    run = evolve(tiny_experiment(budget=100), metrics=metrics)
    return run, run_experiment(run, {"amao": plugin, "thief": Thief()})


def test_the_metric_asks_as_the_attacker_and_leaves_nothing_behind():
    always = Amao(epsilon=0.0, threshold=0.5, always=True, period=2, similarity=0.9)
    run, result = measured(always, lookalikes=lookalikes)
    figures = result["metrics"]["lookalikes"]

    assert set(figures) == {*CHANGES, "jbdatr", "cloudleak"}
    assert all(0 <= told["equal"] <= 1 for told in figures.values())
    assert all(told["similarity"]["median"]["accuracy"] >= 0.5 for told in figures.values())
    assert figures["noise"]["altered"] > 0
    assert run.store.dump()["states"] == measured(always)[0].store.dump()["states"]


def test_answers_that_nobody_alters_are_the_victim_s():
    figures = measured(Amao(epsilon=0.0, threshold=0.01), lookalikes=lookalikes)[1]
    told = figures["metrics"]["lookalikes"]["noise"]

    assert (told["altered"], told["equal_altered"]) == (0, None)
    assert told["equal"] == told["victim"]


def test_it_is_installed():
    assert load(find("metrics", "lookalikes")) is lookalikes
