"""The contracts of attacks and recoveries."""

from __future__ import annotations

from typing import Any

from attrs import evolve
from torch import nn

from ringfence.errors import BudgetExhausted
from ringfence.experiment import Experiment
from ringfence.images import as_float
from ringfence.protocols import Attack, Finisher, Oracle, Recovery
from ringfence.reports import report_of
from ringfence.session import Session
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
    """The wrapped oracle is an oracle: what it promises can be asked, what it spends is told."""
    run = tiny_experiment()
    recovery = made("make_recovery", evolve(plugin), run=run.for_attack("it"))
    assert isinstance(recovery, Recovery), f"{recovery!r} has no wrap()"
    inner = session(run, run.new_model(), 64)
    oracle = recovery.wrap(inner)
    assert isinstance(oracle, Oracle), f"{oracle!r} is no oracle"
    assert oracle.clients == inner.clients, "clients are handed on"
    assert len(oracle.query(as_float(run.pool[:0]))) == 0, "an empty batch is free"
    handed = _ask(oracle, run, 1, [inner.clients[1]]) + _ask(oracle, run, 2, None)
    while oracle.remaining:
        handed += _ask(oracle, run, min(oracle.remaining, 5), None)
    discarded = report_of(recovery).get("discarded", 0)
    assert inner.used == handed + discarded, "what is spent is handed on, or reported: discarded"
    _check_refusal(oracle, run, inner)
    if isinstance(recovery, Finisher):
        assert isinstance(recovery.finish(run.new_substitute()), nn.Module), "finish() -> model"


def _ask(oracle: Oracle, run: Experiment, size: int, clients: list[str] | None) -> int:
    """Ask ``size`` images; an attack may count on it that as many fewer remain."""
    images, before = as_float(run.pool[:size]), oracle.remaining
    kept = images.clone()
    answers = oracle.query(images, clients)
    assert answers.shape == (size, oracle.num_classes), "one answer per query"
    assert answers.isfinite().all(), "answers are finite"
    assert bool((images == kept).all()), "must not change the queries"
    assert oracle.remaining == before - size, "remaining counts images, whatever one costs"
    return size


def _check_refusal(oracle: Oracle, run: Experiment, inner: Session) -> None:
    """More than what remains is refused, and nothing is counted."""
    used = inner.used
    try:
        oracle.query(as_float(run.pool[:1]))
    except BudgetExhausted:
        assert inner.used == used, "what is refused is not counted"
    else:
        raise AssertionError("more than remaining is answered")
