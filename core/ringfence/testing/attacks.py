"""The contract of attacks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from attrs import evolve
from torch import Tensor, nn

from ringfence.cache import Cache
from ringfence.errors import BadQuery, BudgetExhausted
from ringfence.experiment import Experiment
from ringfence.images import as_float
from ringfence.protocols import Attack, Endpoint
from ringfence.service import Service
from ringfence.testing.promises import keeping, promise, seeded_as_a_run
from ringfence.testing.tiny import (
    CLASSES,
    attacker,
    fresh,
    metered,
    stubborn,
    tiny_experiment,
    victim,
)

BUDGETS = (64, 7)


def check_attack(plugin: Any, device: str = "cpu") -> None:
    """The attack stays inside the budget, large or small, and returns a model."""
    cache = Cache(device=device)
    runs = [evolve(tiny_experiment(budget=b, device=device), cache=cache) for b in BUDGETS]
    weights, _ = (_stolen(fresh(plugin), run, Service(victim(run))) for run in runs)
    again = tiny_experiment(budget=BUDGETS[0], device=device)
    others = _stolen(fresh(plugin), again, Service(victim(again)))
    same = all(torch.equal(weight, others[name]) for name, weight in weights.items())
    promise("attack-seed", same, "the same seed, the same substitute")
    told = "an oracle that answers all alike, or refuses, and a pool of one shade must be endured"
    with keeping("attack-hostile", told):
        dark = evolve(runs[0], pool=torch.zeros_like(runs[0].pool))
        for endpoint in stubborn():
            _stolen(fresh(plugin), dark, endpoint)


def _stolen(plugin: Any, run: Experiment, endpoint: Endpoint) -> Mapping[str, Tensor]:
    """Return the weights of what a fresh attack steals."""
    attack = attacker("make_attack", plugin, run, Attack)
    pool, seeds = run.pool.clone(), run.seeds.clone()
    oracle = metered(run, endpoint, run.budget)
    over = keeping("attack-budget", "ask for at most oracle.remaining", BudgetExhausted)
    odd = keeping("attack-queries", "queries are float images in [0, 1] of known clients", BadQuery)
    with seeded_as_a_run("attack-random", run, "extract"), over, odd:
        substitute = attack.extract(oracle)
    promise("attack-budget", oracle.used, "spends some of the budget")
    same = torch.equal(pool, run.pool) and torch.equal(seeds, run.seeds)
    promise("attack-inputs", same, "must not change the pool, nor the seeds")
    promise("attack-substitute", isinstance(substitute, nn.Module), "returns the substitute")
    return _checked(substitute, run)


@torch.no_grad()
def _checked(substitute: nn.Module, run: Experiment) -> Mapping[str, Tensor]:
    answers = substitute.eval()(as_float(run.test.images))
    shape = (len(run.test), CLASSES)
    promise("attack-substitute", answers.shape == shape, "answers like the victim")
    promise("attack-finite", answers.isfinite().all(), "the substitute's answers are finite")
    weights: dict[str, Tensor] = substitute.state_dict()
    return weights
