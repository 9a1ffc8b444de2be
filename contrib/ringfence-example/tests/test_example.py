"""What the contracts cannot know: that shapes can be told apart, and what the metric says."""

from __future__ import annotations

import torch
from ringfence_example.certainty import certainty
from ringfence_example.perceptron import Perceptron
from ringfence_example.shapes import SHAPES, Shapes

from ringfence.inference import accuracy
from ringfence.testing.metrics import outcomes
from ringfence.training import fit


def test_a_perceptron_tells_the_shapes_apart():
    data = Shapes(train=800).load(None, True)
    torch.manual_seed(0)
    model = Perceptron().make(data.num_classes, (1, 28, 28))
    fit(model, data.train.images, data.train.labels, Perceptron.recipe)

    assert accuracy(model, data.test) > 0.7 > 1 / len(SHAPES)


def test_all_classes_are_as_frequent():
    data = Shapes(train=80).load(None, True)

    assert data.train.labels.bincount().tolist() == [20] * 4


def test_the_metric_is_the_mean_of_the_largest_probability():
    usual, _, elsewhere = outcomes()
    images = usual.run.test.images.float() / 255
    with torch.no_grad():
        wanted = usual.theft.substitute(images).double().softmax(-1).max(-1).values.mean()

    assert abs(certainty(usual)["substitute"] - wanted.item()) < 1e-9
    assert 0.25 < certainty(usual)["victim"] <= 1
    assert certainty(elsewhere)["victim"] is None
