"""The contracts of attacks and recoveries."""

from __future__ import annotations

from typing import Any

from attrs import evolve
from torch import nn

from ringfence.images import as_float
from ringfence.protocols import Attack, Finisher, Oracle, Recovery
from ringfence.testing.tiny import CLASSES, made, session, tiny_experiment


def check_attack(plugin: Any) -> None:
    """The attack stays inside the budget, large or small, and returns a model."""
    for budget in (64, 7):
        run = tiny_experiment(budget=budget)
        attack = made("make_attack", evolve(plugin), run=run.for_attack("it"))
        assert isinstance(attack, Attack), f"{attack!r} has no extract()"
        before = run.pool.clone()
        oracle = session(run, run.new_model(), budget)
        substitute = attack.extract(oracle)
        assert 0 < oracle.used <= budget, "spends some of the budget, never more"
        assert isinstance(substitute, nn.Module), "returns the substitute"
        answers = substitute(as_float(run.pool))
        assert answers.shape == (len(run.pool), CLASSES), "answers like the victim"
        assert bool((run.pool == before).all()), "must not change the pool"


def check_recovery(plugin: Any) -> None:
    """The wrapped oracle is an oracle; what it hands on is counted once."""
    run = tiny_experiment()
    recovery = made("make_recovery", plugin, run=run.for_attack("it"))
    assert isinstance(recovery, Recovery), f"{recovery!r} has no wrap()"
    inner = session(run, run.new_model(), 64)
    oracle = recovery.wrap(inner)
    assert isinstance(oracle, Oracle), f"{oracle!r} is no oracle"
    answers = oracle.query(as_float(run.pool[:10]), [inner.clients[row % 2] for row in range(10)])
    assert answers.shape == (10, oracle.num_classes), "one answer per query"
    assert answers.isfinite().all(), "answers are finite"
    assert oracle.remaining == inner.remaining, "remaining is the real budget"
    assert oracle.clients == inner.clients, "clients are handed on"
    if isinstance(recovery, Finisher):
        assert isinstance(recovery.finish(run.new_substitute()), nn.Module), "finish() -> model"
