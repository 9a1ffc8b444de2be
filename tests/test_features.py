"""Late features of any network: those that its last layer, and nothing else, turns into logits."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from ringfence import plugins
from ringfence.errors import RingfenceError
from ringfence.features import activations, features

SHAPES = {"squeezenet": (3, 32, 32), "torchvision": (3, 32, 32)}


@pytest.mark.parametrize("name", sorted(plugins.installed("models")))
def test_the_last_layer_turns_the_features_of_every_model_into_its_logits(name):
    model = plugins.build("models", name)
    shape = SHAPES.get(name, (1, 8, 8) if name.startswith("toy") else (1, 28, 28))
    model = model.make(7, shape).eval()
    images = torch.rand(3, *shape, generator=torch.Generator().manual_seed(0))

    late = activations(model, images)

    assert torch.equal(late.logits, model(images))
    if isinstance(late.head, nn.Linear):
        torch.testing.assert_close(late.head(late.features), late.logits)
    else:
        assert late.features.shape == (3, late.head.in_channels)
    assert not any(layer._forward_pre_hooks for layer in model.modules()), "leaves no hook"


def test_the_layer_that_runs_last_counts_not_the_one_registered_last():
    class Twisted(nn.Module):
        def __init__(self):
            super().__init__()
            self.head, self.body = nn.Linear(5, 4), nn.Linear(9, 5)

        def forward(self, images):
            return self.head(self.body(images.flatten(1)).relu())

    model, images = Twisted(), torch.rand(2, 1, 3, 3)

    late = activations(model, images)

    assert late.head is model.head
    assert torch.equal(late.features, model.body(images.flatten(1)).relu())


def test_features_carry_a_gradient_to_the_images():
    model = plugins.build("models", "lenet5").make(4, (1, 28, 28)).eval()
    images = torch.rand(2, 1, 28, 28, requires_grad=True)

    activations(model, images).features.sum().backward()

    assert images.grad.abs().sum() > 0


def test_stored_images_are_taken_in_chunks():
    model = plugins.build("models", "lenet5").make(4, (1, 28, 28)).eval()
    images = torch.randint(0, 256, (600, 1, 28, 28), dtype=torch.uint8)

    late = features(model, images)

    assert late.shape == (600, 84)
    assert not late.requires_grad
    torch.testing.assert_close(late[599:], activations(model, images[599:].float() / 255).features)


def test_a_network_without_such_a_layer_is_refused_and_left_as_it_was():
    model = nn.Flatten()
    with pytest.raises(RingfenceError, match="Flatten runs no linear or convolutional layer"):
        activations(model, torch.rand(1, 1, 2, 2))


def test_hooks_are_removed_after_an_error():
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
    with pytest.raises(RuntimeError):
        activations(model, torch.rand(1, 1, 3, 3))

    assert not model[1]._forward_pre_hooks
