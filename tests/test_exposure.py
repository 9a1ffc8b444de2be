"""Outlier exposure: its loss, the order in which outliers are drawn, and a victim that saw them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from ringfence.confidence import max_softmax
from ringfence.errors import MissingData
from ringfence.exposure import ExposedTrainer, Exposure, OutlierBatches, to_uniform
from ringfence.inference import logits
from ringfence.recipe import Recipe
from ringfence.testing import tiny_experiment


def batches(images, recipe=None, seed=0):
    return OutlierBatches(images, recipe or Recipe(), torch.Generator().manual_seed(seed))


def numbered(count):
    """Images whose first pixel is their number."""
    images = torch.zeros(count, 1, 4, 4, dtype=torch.uint8)
    images[:, 0, 0, 0] = torch.arange(count)
    return images


def test_the_loss_of_an_outlier_is_the_cross_entropy_to_the_uniform_distribution():
    scores = torch.randn(7, 5, generator=torch.Generator().manual_seed(0)).double() * 3
    odds = np.exp(scores.numpy())
    probs = odds / odds.sum(1, keepdims=True)

    assert to_uniform(scores).item() == pytest.approx(-np.log(probs).mean(), abs=1e-12)


def test_each_round_draws_every_outlier_once_in_an_order_of_its_own():
    drawn = batches(numbered(30))

    rows = torch.cat([drawn.draw(count) for count in (7, 7, 16, 25, 5)])
    first, second = (rows[:, 0, 0, 0] * 255).round().long().split(30)

    assert sorted(first.tolist()) == sorted(second.tolist()) == list(range(30))
    assert first.tolist() != second.tolist()
    assert first.tolist() != list(range(30))


def test_more_outliers_than_there_are_may_be_drawn_at_once():
    drawn = batches(numbered(3)).draw(8)

    assert drawn.shape == (8, 1, 4, 4)
    assert drawn.dtype is torch.float32


def test_outliers_are_augmented_as_the_training_images_are():
    images = torch.full((50, 1, 4, 4), 255, dtype=torch.uint8)

    assert bool((batches(images).draw(50) == 1).all())
    assert bool((batches(images, Recipe(shift=2)).draw(50) == 0).any())


def test_no_outliers_are_refused():
    with pytest.raises(MissingData, match="empty"):
        batches(numbered(0))


def test_the_objective_weighs_both_losses_and_sees_all_images_at_once():
    seen = []

    def model(images):
        seen.append(len(images))
        return images.flatten(1)[:, :3] * 4

    images, labels = torch.rand(5, 1, 4, 4), torch.tensor([0, 1, 2, 0, 1])
    outliers = batches(numbered(9))
    known = nn.functional.cross_entropy(images.flatten(1)[:, :3] * 4, labels)
    unknown = to_uniform(batches(numbered(9)).draw(5).flatten(1)[:, :3] * 4)

    loss = Exposure(outliers, 0.7)(model, images, labels)

    assert seen == [10]
    assert loss.item() == pytest.approx((known + 0.7 * unknown).item(), abs=1e-6)


def test_an_exposed_model_is_less_sure_of_outliers_and_no_less_of_its_images():
    """On images that are easy to tell apart: bright halves; outliers are bright rows."""
    run = tiny_experiment().for_defense("it")
    random = torch.Generator().manual_seed(0)
    images = torch.rand(96, 1, 8, 8, generator=random) * 0.2
    labels = torch.arange(96) % 2
    images[labels == 0, :, :, :4] += 0.8
    images[labels == 1, :, :, 4:] += 0.8
    outliers = torch.rand(40, 1, 8, 8, generator=random)
    sure = {}
    for weight in (0.0, 2.0):
        torch.manual_seed(0)
        exposure = Exposure(batches(outliers), weight)
        recipe = Recipe(epochs=30, lr=0.02, batch_size=32)
        trainer = ExposedTrainer(recipe, exposure, torch.Generator().manual_seed(0))
        model = trainer.train(run.new_model(), type(run.train)(images, labels))
        sure[weight] = [max_softmax(logits(model, x)).mean() for x in (images, outliers)]

    assert sure[2.0][1] < sure[0.0][1] - 0.1
    assert sure[2.0][0] > 0.9
    assert trainer.report() == {"exposure": 2.0, "outliers": 40}
