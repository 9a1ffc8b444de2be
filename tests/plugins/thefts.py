"""Thefts: one of a guarded victim on digits, the same for all recoveries, and one of nothing."""

from __future__ import annotations

from copy import deepcopy

import torch
from attrs import define

from ringfence import hookimpl, plugins
from ringfence.attacker import attacker_names
from ringfence.choice import Choice
from ringfence.guard import make_guard, train
from ringfence.randomness import seeded
from ringfence.record import Record
from ringfence.selection import manager
from ringfence.session import Session
from ringfence.setup import prepare

TRAINING = {"epochs": 40, "batch_size": 256, "shift": 1}  #: of the victim, as in the docs pages
ADAM = {"optimizer": "adam", "lr": 0.001}


def guarded(cache, *defense, options=None, **choice):
    """Return the run, its plugins, and its guard."""
    options = {"training": TRAINING, **(options or {})}
    choice = {"dataset": "digits", "attack": "knockoffnet", "threads": 1, **choice}
    run, selected = prepare(Choice(**choice, cache=cache, defense=defense, options=options))
    pm = manager(selected)
    return run, selected, make_guard(run, pm, (), train(run, pm, ()), Record())


def asked(run, guard):
    """Return a session of the attacker's clients."""
    names = attacker_names(run)
    return Session(guard.service, names, run.num_classes, run.image_shape, run.budget)


def finished(run, attack, guard, recoveries):
    """Steal once; return the substitute, and what each recovery makes of a copy of it.

    ``recoveries``: by a name for each, the plugin and its options. None changes a query.
    """
    made = {
        name: plugins.build("attacks", plugin, options).make_recovery(run.for_attack(plugin))
        for name, (plugin, options) in recoveries.items()
    }
    oracle = asked(run, guard)
    for recovery in made.values():
        oracle = recovery.wrap(oracle)
    with seeded(run.streams, "theft"):
        substitute = attack.make_attack(run.for_attack("theft")).extract(oracle)
    after = {}
    for name, recovery in made.items():
        with seeded(run.streams, name):
            after[name] = recovery.finish(deepcopy(substitute))
    return substitute, after


@define(eq=False)
class Thief:
    """Sends random images, and learns nothing."""

    run: object = None

    @hookimpl
    def make_attack(self, run):
        self.run = run
        return self

    def extract(self, oracle):
        random = self.run.generator("images")
        oracle.query(torch.rand(oracle.remaining, *self.run.image_shape, generator=random))
        return self.run.new_model()
