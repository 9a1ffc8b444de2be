"""Dataset inference, each part by hand, and at work on nets that know their images by heart."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from attrs import evolve
from ringfence_datasetinference import DatasetInference
from ringfence_datasetinference.judge import _welch
from ringfence_datasetinference.samples import draw
from ringfence_datasetinference.walk import NOISES, Walk
from torch import nn

from ringfence.errors import BadEvidence
from ringfence.recipe import Recipe
from ringfence.service import Service
from ringfence.session import Session
from ringfence.testing import check_verifier, tiny_experiment
from ringfence.training import fit
from ringfence.types import Split

CLASSES = 4


def stream(seed=0):
    return torch.Generator().manual_seed(seed)


def bright(images):
    """Return class 1 for images that are brighter than 0.5 on average."""
    return (images.flatten(1).mean(1) > 0.5).long()


def test_a_walk_is_the_one_written_as_a_loop():
    images = torch.rand(5, 1, 4, 4, generator=stream(1)) * 0.1 + 0.45
    found = Walk(directions=2, steps=30, scale=1.0).distances(bright, images, stream(7))
    random, wanted = stream(7), []
    for noise, size, norm in NOISES:
        ways = [noise(images, random) * size for _ in range(2)]
        wanted.append(
            np.sort([[walked(x, way[n], norm) for way in ways] for n, x in enumerate(images)], 1)
        )

    assert found.numpy() == pytest.approx(np.concatenate(wanted, 1), rel=1e-4)


def walked(image, way, norm):
    own = bright(image[None])
    for step in range(1, 31):
        there = (image + step * way).clamp(0, 1)
        if bright(there[None]) != own:
            break
    return float(np.linalg.norm((there - image).flatten().numpy(), norm))


def test_noises_have_the_spread_of_their_names():
    like = torch.empty(1, 1, 300, 300)
    uniform, gaussian, laplace = (noise(like, stream()).std().item() for noise, *_ in NOISES)

    assert (uniform, gaussian, laplace) == pytest.approx((3**-0.5, 1.0, 2**0.5), rel=0.02)


def test_a_walk_costs_no_more_than_it_says_and_fits_a_limit():
    asked = []

    def label(images):
        asked.append(len(images))
        return torch.zeros(len(images), dtype=torch.int64)

    walk = Walk(directions=3, steps=4, scale=1.0)
    walk.distances(label, torch.rand(5, 1, 2, 2), stream())

    assert sum(asked) == 5 * walk.cost
    assert walk.within(limit=10 * (1 + 3 * 2 * 4), images=10).directions == 2
    assert walk.within(limit=1, images=10).directions == 1


def test_no_image_is_learnt_from_and_asked_about():
    run = tiny_experiment().for_defense("it")
    samples = draw(run, asked=30, learnt=500)
    for side in (samples.private, samples.other):
        asked, learnt = (
            {one.numpy().tobytes() for one in part} for part in (side.asked, side.learnt)
        )

        assert (len(asked), len(learnt)) == (30, 66)
        assert not asked & learnt


def test_the_test_is_welchs():
    one, other = torch.tensor([1.0, 2.0, 4.0]).double(), torch.tensor([0.0, 1.0, 0.5, 0.2]).double()
    spread = one.var() / 3 + other.var() / 4
    t = ((one.mean() - other.mean()) / spread.sqrt()).item()
    degrees = (spread**2 / ((one.var() / 3) ** 2 / 2 + (other.var() / 4) ** 2 / 3)).item()
    from scipy.stats import t as student

    assert _welch(one, other) == pytest.approx(student.sf(t, degrees))
    assert _welch(one, one * 0) == 1
    assert math.isclose(_welch(one, one), 0.5)


@pytest.mark.parametrize("options", [{}, {"directions": 1, "steps": 2, "samples": 5}])
def test_keeps_its_promises(options):
    check_verifier(DatasetInference(**options))


def images_of(seed, size=1000):
    """Return noise with labels of chance: what is learnt of them is learnt by heart."""
    random = stream(seed)
    images = torch.rand(size, 1, 8, 8, generator=random)
    return Split(images, torch.randint(CLASSES, (size,), generator=random))


def net():
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 512), nn.ReLU(), nn.Linear(512, CLASSES))


def learnt(split, targets=None, seed=0):
    torch.manual_seed(seed)
    targets = split.labels if targets is None else targets
    return fit(net(), split.images, targets, Recipe(epochs=60, lr=3e-3, batch_size=50)).eval()


@pytest.fixture(scope="module")
def case():
    """A victim that knows its training images by heart, and its run."""
    private = images_of(1)
    run = evolve(tiny_experiment(), train=private, validation=images_of(2), new_model=net)
    return run, private, learnt(private)


def judged(case, suspect, limit=400_000):
    run, _, victim = case
    plugin = DatasetInference(samples=100, learnt=300)
    verifier = plugin.make_verifier(run.for_defense("it", plugin, "victim"), victim)
    oracle = Session(Service(suspect), ("owner",), CLASSES, (1, 8, 8), limit)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return verifier.verify(oracle, []), oracle, verifier.report()


def test_a_copy_of_the_victim_is_stolen(case):
    evidence, oracle, report = judged(case, case[2])

    assert evidence.stolen
    assert evidence.p_value < 1e-4
    assert evidence.score > 0.1
    assert (report["samples"], report["directions"]) == (100, 10)
    assert report["queries"] == oracle.used <= 400_000


def test_a_model_that_learnt_the_victims_answers_at_its_images_is_stolen(case):
    _, private, victim = case
    with torch.no_grad():
        answers = victim(private.images).softmax(-1)

    assert judged(case, learnt(private, answers, seed=5))[0].stolen


@pytest.mark.parametrize("seed", range(10, 13))
def test_models_of_other_images_are_innocent(case, seed):
    evidence, _, _ = judged(case, learnt(images_of(seed), seed=seed))

    assert not evidence.stolen


def test_an_independent_model_of_the_same_images_is_called_guilty(case):
    """The README says so: what is claimed is that private data were used."""
    assert judged(case, learnt(case[1], seed=9))[0].stolen


def test_too_few_queries_are_no_evidence(case):
    evidence, oracle, report = judged(case, case[2], limit=600)

    assert (evidence.p_value, evidence.stolen) == (1.0, False)
    assert oracle.used == report["queries"] == 0


def test_without_training_images_it_says_where_it_can_be_used():
    run = tiny_experiment()
    empty = run.train.rows(torch.arange(0))
    with pytest.raises(BadEvidence, match="ringfence run --defense datasetinference"):
        DatasetInference().make_verifier(evolve(run, train=empty).for_defense("it"), net())
