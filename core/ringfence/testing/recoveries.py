"""The contract of recoveries."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from attrs import evolve, frozen
from torch import Tensor, nn

from ringfence.cache import Cache
from ringfence.errors import BudgetExhausted, RingfenceError
from ringfence.experiment import Experiment
from ringfence.images import as_float
from ringfence.protocols import Endpoint, Finisher, Oracle, Recovery
from ringfence.reports import report_of
from ringfence.service import Service
from ringfence.session import Session
from ringfence.testing.promises import keeping, promise, seeded_as_a_run
from ringfence.testing.tiny import attacker, fresh, metered, stubborn, tiny_experiment, victim


def check_recovery(plugin: Any, device: str = "cpu") -> None:
    """The wrapped oracle is an oracle: what it promises can be asked, what it spends is told."""
    run = evolve(tiny_experiment(device=device), cache=Cache(device=device))
    answers = _used_up(fresh(plugin), run, Service(victim(run)))
    again = tiny_experiment(device=device)
    same = torch.equal(answers, _used_up(fresh(plugin), again, Service(victim(again))))
    promise("recovery-seed", same, "the same seed, the same answers")
    with keeping("recovery-hostile", "an oracle that answers all alike, or refuses, will do"):
        for endpoint in stubborn():
            _used_up(fresh(plugin), run, endpoint)
        _check_nan(fresh(plugin), run)


def _used_up(plugin: Any, run: Experiment, endpoint: Endpoint) -> Tensor:
    """Ask a fresh recovery all that it lets ask; return the answers."""
    recovery = attacker("make_recovery", plugin, run, Recovery)
    with seeded_as_a_run("recovery-random", run, "extract"):
        inner = metered(run, endpoint, run.budget)
        oracle = recovery.wrap(inner)
        promise("recovery-oracle", isinstance(oracle, Oracle), f"{oracle!r} is no oracle")
        asked = Asked(oracle, inner, run)
        answers = asked.everything()
        _check_end(recovery, asked, len(answers))
    return answers


@frozen(eq=False)
class Asked:
    """A wrapped oracle, and the session below it."""

    oracle: Oracle
    inner: Session
    run: Experiment

    def everything(self) -> Tensor:
        """Ask as clients may ask, until nothing remains."""
        clients = self.inner.clients
        promise("recovery-oracle", self.oracle.clients == clients, "clients are handed on")
        used = self.inner.used  # a recovery may have asked while it was wrapped around it
        nothing = self.oracle.query(as_float(self.run.pool[:0]))
        promise("recovery-empty", len(nothing) == 0, "no answer to no query")
        promise("recovery-empty", self.inner.used == used, "an empty batch is free")
        answers = [self.ask(1, [clients[1]]), self.ask(2, None)]
        while self.oracle.remaining:
            answers.append(self.ask(min(self.oracle.remaining, 5), None))
        return torch.cat(answers)

    def ask(self, size: int, clients: Sequence[str] | None) -> Tensor:
        """Ask ``size`` images; an attack may count on it that as many fewer remain."""
        images, before = as_float(self.run.pool[:size]), self.oracle.remaining
        kept = images.clone()
        answers = self.oracle.query(images, clients)
        shape = (size, self.oracle.num_classes)
        promise("recovery-shape", answers.shape == shape, "one answer per query")
        promise("recovery-finite", answers.isfinite().all(), "answers are finite")
        promise("recovery-inputs", torch.equal(images, kept), "must not change the queries")
        told = "remaining counts images, whatever one costs"
        promise("recovery-remaining", self.oracle.remaining == before - size, told)
        return answers


def _check_nan(plugin: Any, run: Experiment) -> None:
    """A session refuses NaN before it counts; so does what is wrapped around it."""
    recovery = attacker("make_recovery", plugin, run, Recovery)
    inner = metered(run, Service(victim(run)), run.budget)
    oracle = recovery.wrap(inner)
    used, images = inner.used, as_float(run.pool[:2]) * torch.nan
    try:
        answers = oracle.query(images)
    except RingfenceError:
        promise("recovery-hostile", inner.used == used, "what is refused is free")
    else:
        promise("recovery-hostile", False, f"images of NaN are answered: {answers}")


def _check_end(recovery: Recovery, asked: Asked, handed: int) -> None:
    """All that was spent is accounted for; more is refused; the substitute stays a model."""
    discarded, used = report_of(recovery).get("discarded", 0), asked.inner.used
    told = "what is spent is handed on, or reported: discarded"
    promise("recovery-spent", used == handed + discarded, told)
    try:
        asked.oracle.query(as_float(asked.run.pool[:1]))
    except BudgetExhausted:
        promise("recovery-refusal", asked.inner.used == used, "what is refused is not counted")
    else:
        promise("recovery-refusal", False, "more than remaining is answered")
    if isinstance(recovery, Finisher):
        model = recovery.finish(asked.run.new_substitute())
        promise("recovery-finish", isinstance(model, nn.Module), "finish() returns a model")
