"""What the victim counts is what the thief tells: learnt or discarded, nothing in between."""

from __future__ import annotations

from functools import cache

import pytest
import torch
from attrs import define
from ringfence_toys.attacker import ToyRandomQueries

from ringfence import hookimpl, plugins
from ringfence.answers import answer_format
from ringfence.reports import report_of
from ringfence.service import Service
from ringfence.session import Session
from ringfence.testing import tiny_experiment
from ringfence.testing.tiny import made

BUDGETS = [*range(1, 13), 16, 17, 63, 64, 65, 150]  #: eight seeds, pool of 96
#: options that only shorten what is done, for plugins that have them
QUICK = {"epochs": 1, "pretrain_epochs": 1, "round_epochs": 1, "steps": 2}
QUICK |= {"shadows": 8, "images": 20, "repeats": 1, "pairs": 100, "passes": 1}


@cache
def installed(hook):
    """Return the names of installed attacks that fill the phase ``hook``."""
    found = [name for name in plugins.installed("attacks") if hasattr(build(name), hook)]
    assert found
    return found


def build(name):
    fields = {a.name for a in type(plugins.build("attacks", name)).__attrs_attrs__}
    return plugins.build("attacks", name, {n: v for n, v in QUICK.items() if n in fields})


@define(eq=False)
class Refusing:
    """Refuses every third image."""

    @hookimpl
    def make_responder(self, run, victim):
        return self

    def respond(self, queries, probs, verdicts):
        return probs * (queries.first % 3 != 1)[:, None]


def accounts(attack, budget, labels, recoveries=(), *, refuses=False):
    """Return what the session counted, and what attack and recoveries reported."""
    torch.manual_seed(0)
    run = tiny_experiment(budget=budget)
    guard = {"it": Refusing()} if refuses else {}
    victim = run.new_model().eval()
    service = Service(victim, {}, guard, run.store, answer_format(labels))
    clients = ("one", "two")
    session = oracle = Session(service, clients, run.num_classes, run.image_shape, budget)
    wrappers = [made("make_recovery", one, run=run.for_attack("recovery")) for one in recoveries]
    for wrapper in wrappers:
        oracle = wrapper.wrap(oracle)
    thief = made("make_attack", attack, run=run.for_attack("attack"))
    thief.extract(oracle)
    told = report_of(thief)
    discarded = sum(report_of(one).get("discarded", 0) for one in (thief, *wrappers))
    return session.used, told["transfer_set"] + discarded


@pytest.mark.parametrize("labels", ["soft", "hard"])
@pytest.mark.parametrize("name", installed("make_attack"))
def test_an_attack_tells_every_query(name, labels):
    for budget in BUDGETS:
        used, told = accounts(build(name), budget, labels)

        assert used == told, budget
        assert 0 < used <= budget


@pytest.mark.parametrize("name", installed("make_attack"))
def test_refused_queries_are_told_too(name):
    for budget in (5, 64, 100):
        used, told = accounts(build(name), budget, "soft", refuses=True)

        assert used == told, budget


@pytest.mark.parametrize("recovery", installed("make_recovery"))
@pytest.mark.parametrize("name", installed("make_attack"))
def test_a_recovery_tells_what_it_spends(name, recovery):
    for budget in (9, 64, 100):
        used, told = accounts(build(name), budget, "soft", [build(recovery)])

        assert used == told, budget
        assert used <= budget


@define(eq=False)
class Boaster(ToyRandomQueries):
    """Tells one query less than it asked."""

    def report(self):
        return {"transfer_set": self._sent - 1}


def test_a_query_that_is_not_told_is_noticed():
    used, told = accounts(Boaster(epochs=1), 20, "soft")

    assert (used, told) == (20, 19)
