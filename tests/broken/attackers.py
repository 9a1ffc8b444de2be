"""Attacks and recoveries, each with one fault."""

from __future__ import annotations

import random

import numpy as np
import torch
from attrs import define, field
from torch import nn

from ringfence import hookimpl
from ringfence.images import as_float
from ringfence.testing import check_attack, check_recovery
from ringfence.wrapped import Wrapped


@define(eq=False)
class Attack:
    """Keeps every promise: it asks once, and returns a fresh model."""

    run: object = field(default=None, init=False)

    @hookimpl
    def make_attack(self, run):
        self.run = run
        return self

    def extract(self, oracle):
        self.ask(oracle, as_float(self.run.pool))
        return self.model()

    def ask(self, oracle, images):
        return oracle.query(images[: oracle.remaining])

    def model(self):
        return self.run.new_model()


class Greedy(Attack):
    def ask(self, oracle, images):
        return oracle.query(images[: oracle.remaining + 1])


class Overshooting(Attack):
    def ask(self, oracle, images):
        return oracle.query(images[: oracle.remaining] + 1)


class Broken(Attack):
    def model(self):
        model = self.run.new_model()
        nn.init.constant_(model[1].weight, torch.nan)
        return model


class Learning(Attack):
    """Weighs by how many answers there are of each class: there may be none."""

    def ask(self, oracle, images):
        self.run.generator("unused")
        counts = super().ask(oracle, images).sum(0)
        if not counts[:-1].any():
            raise ZeroDivisionError("no class but one")


class Darkening(Attack):
    def ask(self, oracle, images):
        super().ask(oracle, images)
        self.run.pool.zero_()


class Shuffling(Attack):
    def ask(self, oracle, images):
        random.random()
        super().ask(oracle, images)


class Restarting(Attack):
    def model(self):
        model = self.run.new_model()
        model[1].weight.data += np.random.default_rng().random()
        return model


class Narrow(Attack):
    def model(self):
        return nn.Sequential(nn.Flatten(), nn.Linear(64, 3))


@define(eq=False)
class Recovery:
    """Keeps every promise: it asks every image twice, and says so."""

    inner: object = field(default=None, init=False)
    asked: int = field(default=0, init=False)
    noise: float = field(default=0.0, init=False)

    @hookimpl
    def make_recovery(self, run):
        return self

    def wrap(self, oracle):
        self.inner = oracle
        return Wrapped(oracle, self.ask, self.left)

    def left(self, everything):
        return everything // 2

    def ask(self, images, clients=None):
        self.inner.query(images, clients)
        answers = self.inner.query(images, clients)
        self.asked += len(images)
        return answers

    def report(self):
        return {"discarded": self.asked}


class Nosy(Recovery):
    """Asks a query of its own when there is none."""

    def ask(self, images, clients=None):
        if not len(images):
            self.inner.query(torch.zeros(1, 1, 8, 8))
        return super().ask(images, clients)


@define(eq=False)
class Finishing(Recovery):
    def finish(self, substitute):
        return None


class Logarithmic(Recovery):
    def ask(self, images, clients=None):
        return super().ask(images, clients).log() * torch.inf


class Cleaning(Recovery):
    """Asks about images that are none as if they were black."""

    def ask(self, images, clients=None):
        return super().ask(images.nan_to_num(0), clients)


class Clamping(Recovery):
    def ask(self, images, clients=None):
        return super().ask(images.clamp_(0.1, 0.9), clients)


class NoOracle(Recovery):
    def wrap(self, oracle):
        return self.ask


class Drawing(Recovery):
    def ask(self, images, clients=None):
        np.random.rand()
        return super().ask(images, clients)


class Endless(Recovery):
    def ask(self, images, clients=None):
        if self.inner.remaining < 2 * len(images):
            return images.new_zeros(len(images), 4)
        return super().ask(images, clients)


class Costly(Recovery):
    def left(self, everything):
        return everything


class Noisy(Recovery):
    def ask(self, images, clients=None):
        return super().ask(images, clients) + np.random.default_rng().random()


class Short(Recovery):
    def ask(self, images, clients=None):
        return super().ask(images, clients)[:, :2]


class Silent(Recovery):
    def report(self):
        return {}


GOOD = [lambda: check_attack(Attack()), lambda: check_recovery(Recovery())]
BROKEN = {
    "attack-budget": lambda: check_attack(Greedy()),
    "attack-finite": lambda: check_attack(Broken()),
    "attack-hostile": lambda: check_attack(Learning()),
    "attack-inputs": lambda: check_attack(Darkening()),
    "attack-queries": lambda: check_attack(Overshooting()),
    "attack-random": lambda: check_attack(Shuffling()),
    "attack-seed": lambda: check_attack(Restarting()),
    "attack-substitute": lambda: check_attack(Narrow()),
    "recovery-empty": lambda: check_recovery(Nosy()),
    "recovery-finish": lambda: check_recovery(Finishing()),
    "recovery-finite": lambda: check_recovery(Logarithmic()),
    "recovery-hostile": lambda: check_recovery(Cleaning()),
    "recovery-inputs": lambda: check_recovery(Clamping()),
    "recovery-oracle": lambda: check_recovery(NoOracle()),
    "recovery-random": lambda: check_recovery(Drawing()),
    "recovery-refusal": lambda: check_recovery(Endless()),
    "recovery-remaining": lambda: check_recovery(Costly()),
    "recovery-seed": lambda: check_recovery(Noisy()),
    "recovery-shape": lambda: check_recovery(Short()),
    "recovery-spent": lambda: check_recovery(Silent()),
}
