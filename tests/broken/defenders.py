"""Plugins that are none, and trainers, each with one fault."""

from __future__ import annotations

import random

import numpy as np
import torch
from attrs import define, field
from torch import nn

from ringfence import hookimpl
from ringfence.testing import check_detector, check_trainer


class NoAttrs:
    @hookimpl
    def make_detector(self, run):
        return self


@define(eq=False)
class MakesNothing:
    @hookimpl
    def make_detector(self, run):
        return object()


@define(eq=False)
class Trainer:
    """Keeps every promise: it takes one step down the gradient."""

    run: object = field(default=None, init=False)

    @hookimpl
    def make_trainer(self, run):
        self.run = run
        return self

    def train(self, model, data):
        loss = nn.functional.cross_entropy(model(data.images.float() / 255), data.labels)
        for weight, slope in zip(
            model.parameters(),
            torch.autograd.grad(loss, list(model.parameters())),
            strict=True,
        ):
            weight.data -= slope
        return model


class Wider(Trainer):
    def train(self, model, data):
        return nn.Sequential(nn.Flatten(), nn.Linear(64, 9), nn.Linear(9, 4))


class Diverging(Trainer):
    def train(self, model, data):
        next(model.parameters()).data.fill_(torch.inf)
        return model


class Standardizing(Trainer):
    """Divides by the images' deviation: images that are all alike have none."""

    def train(self, model, data):
        images = data.images.float()
        next(model.parameters()).data += (images / images.std()).mean()
        return model


class Shading(Trainer):
    def train(self, model, data):
        data.images.mul_(0)
        return model


class Shuffling(Trainer):
    def train(self, model, data):
        random.shuffle(list(range(9)))
        return model


class Restarting(Trainer):
    def train(self, model, data):
        next(model.parameters()).data += np.random.default_rng().random()
        return model


GOOD = [lambda: check_trainer(Trainer())]
BROKEN = {
    "plugin-class": lambda: check_detector(NoAttrs()),
    "plugin-made": lambda: check_detector(MakesNothing()),
    "trainer-architecture": lambda: check_trainer(Wider()),
    "trainer-finite": lambda: check_trainer(Diverging()),
    "trainer-hostile": lambda: check_trainer(Standardizing()),
    "trainer-inputs": lambda: check_trainer(Shading()),
    "trainer-random": lambda: check_trainer(Shuffling()),
    "trainer-seed": lambda: check_trainer(Restarting()),
}
