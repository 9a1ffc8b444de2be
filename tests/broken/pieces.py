"""Data sets and models, each with one fault."""

from __future__ import annotations

import random
from typing import ClassVar

import numpy as np
import torch
from attrs import define, evolve
from torch import nn

from ringfence.testing import check_dataset, check_model
from ringfence.types import ImageSet, Split

SHAPE = (1, 8, 8)


def split(size, random):
    images = torch.rand(size, *SHAPE, generator=random)
    return Split(images, torch.arange(size) % 3)


@define(eq=False)
class Set:
    """Keeps every promise: images of noise."""

    def load(self, root, offline):
        random = torch.Generator().manual_seed(0)
        train, test, pool = (split(size, random) for size in (12, 6, 5))
        return self.spoil(ImageSet(train, test, 3, pool.images))

    def spoil(self, data):
        return data


class Drawn(Set):
    def spoil(self, data):
        images = torch.tensor(np.random.default_rng().random((12, *SHAPE)), dtype=torch.float32)
        return evolve(data, train=Split(images, data.train.labels))


class Unknown(Set):
    defaults: ClassVar = {"architecture": "lenet5"}


class OneBased(Set):
    def spoil(self, data):
        return evolve(data, test=Split(data.test.images, data.test.labels + 1))


class Careless(Set):
    def load(self, root, offline):
        if root is not None:
            raise FileNotFoundError(root / "train.bin")
        return super().load(root, offline)


class Mixed(Set):
    def spoil(self, data):
        return evolve(data, pool=data.pool[..., :7])


class Seeding(Set):
    def spoil(self, data):
        random.seed(0)
        return data


class Bytes(Set):
    """Scaled once too seldom."""

    def spoil(self, data):
        return evolve(data, train=Split(data.train.images * 255, data.train.labels))


class Flat(Set):
    def spoil(self, data):
        return evolve(data, train=Split(data.train.images.flatten(1), data.train.labels))


@define(eq=False)
class Model:
    """Keeps every promise: a linear model."""

    def make(self, num_classes, image_shape):
        pixels = torch.Size(image_shape).numel()
        return self.around(nn.Sequential(nn.Flatten(), nn.Linear(pixels, num_classes)))

    def around(self, model):
        return model


class Changed(nn.Module):
    """A model before and behind which something happens."""

    def __init__(self, inner, before=lambda x: x, after=lambda y, x: y):
        super().__init__()
        self.inner, self.before, self.after = inner, before, after

    def forward(self, images):
        return self.after(self.inner(self.before(images)), images)


class Centred(Model):
    def around(self, model):
        return Changed(model, after=lambda logits, _: logits - logits.mean(0))


class OnlyHere(Model):
    """Adds the number of logits that were asked for before: other copies know nothing of it."""

    calls: ClassVar = []

    def around(self, model):
        self.calls.append(model)
        shift = len(self.calls) > 2
        return Changed(model, after=lambda logits, _: logits + shift)


class Scaled(Model):
    """Divides by the image's brightest pixel."""

    def around(self, model):
        return Changed(model, before=lambda x: x / x.amax((1, 2, 3), keepdim=True))


class Normalizing(Model):
    def around(self, model):
        return Changed(model, before=lambda x: x.sub_(0.5))


class Doubles(Model):
    def around(self, model):
        return Changed(model, after=lambda logits, _: logits.double())


class Same(Model):
    made: ClassVar = []

    def around(self, model):
        self.made.append(model)
        return self.made[0]


class NumpyWeights(Model):
    def around(self, model):
        np.random.rand()
        return model


class Forgetting(nn.Module):
    """Has a scale that is no parameter, and that training changes."""

    def __init__(self, inner):
        super().__init__()
        self.inner, self.loaded = inner, 0

    def load_state_dict(self, *args, **kwargs):
        self.loaded += 1
        return super().load_state_dict(*args, **kwargs)

    def forward(self, images):
        return self.inner(images) + self.loaded


class Hidden(Model):
    def around(self, model):
        return Forgetting(model)


class Unseeded(Model):
    def around(self, model):
        model[1].bias.data += np.random.default_rng().random()
        return model


GOOD = [lambda: check_dataset(Set()), lambda: check_model(Model())]
BROKEN = {
    "dataset-again": lambda: check_dataset(Drawn()),
    "dataset-defaults": lambda: check_dataset(Unknown()),
    "dataset-labels": lambda: check_dataset(OneBased()),
    "dataset-missing": lambda: check_dataset(Careless()),
    "dataset-parts": lambda: check_dataset(Mixed()),
    "dataset-random": lambda: check_dataset(Seeding()),
    "dataset-range": lambda: check_dataset(Bytes()),
    "dataset-shape": lambda: check_dataset(Flat()),
    "model-batches": lambda: check_model(Centred()),
    "model-device": lambda: check_model(OnlyHere()),
    "model-hostile": lambda: check_model(Scaled()),
    "model-inputs": lambda: check_model(Normalizing()),
    "model-logits": lambda: check_model(Doubles()),
    "model-new": lambda: check_model(Same()),
    "model-random": lambda: check_model(NumpyWeights()),
    "model-saved": lambda: check_model(Hidden()),
    "model-seed": lambda: check_model(Unseeded()),
}
