"""The contract of metrics."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from attrs import define, evolve, frozen
from torch import Tensor, nn

from ringfence import hookimpl
from ringfence.fingerprint import fingerprint
from ringfence.images import as_float
from ringfence.pipeline import run_experiment
from ringfence.protocols import Attack, Detector, Endpoint, Oracle
from ringfence.result import Outcome
from ringfence.run import AttackRun, DefenseRun
from ringfence.service import Service
from ringfence.testing.promises import keeping, promise, quiet
from ringfence.testing.tiny import tiny_experiment, victim
from ringfence.types import Queries, Verdict

Metric = Callable[[Outcome], Mapping[str, Any]]


def check_metric(metric: Metric) -> None:
    """A pure function of a finished run, to plain values; also where there is nothing to see."""
    usual, *sparse = outcomes()
    _figures(metric, usual)
    with keeping("metric-nothing", "runs without queries, or without a guard, must be measured"):
        for done in sparse:
            _figures(metric, done)


def outcomes() -> Iterator[Outcome]:
    """Yield finished runs: a usual one, one without any query, one with another's oracle."""
    yield _outcome(Thief(asks=True))
    yield _outcome(Thief(asks=False), benign_clients=0)
    yield _outcome(Thief(asks=True), oracle=Elsewhere())


def _figures(metric: Metric, done: Outcome) -> None:
    before = _traces(done)
    with quiet("metric-random"):
        found, again = metric(done), metric(done)
    promise("metric-plain", isinstance(found, Mapping), "a metric returns a dict by name")
    with keeping("metric-plain", "figures are plain values that JSON holds, and finite"):
        first, second = (json.dumps(dict(f), allow_nan=False) for f in (found, again))
    promise("metric-pure", first == second, "the same run, the same figures")
    promise("metric-pure", _traces(done) == before, "a metric changes nothing of the run")


def _traces(done: Outcome) -> str:
    """Return a hash of what a metric is shown."""
    weights = list(done.theft.substitute.state_dict().values())
    record = done.record.dump()
    return fingerprint(*weights, record, done.run.store.dump(), done.evidence, dict(done.reports))


def _outcome(attack: Any, **how: Any) -> Outcome:
    """Return a finished run as its metrics see it."""
    seen: list[Outcome] = []

    def remember(done: Outcome) -> Mapping[str, Any]:
        seen.append(done)
        return {}

    run = evolve(tiny_experiment(), metrics={"remember": remember}, **how)
    run_experiment(run, {"watch": Watch(), "thief": attack})
    return seen[0]


@define(eq=False)
class Watch:
    """A detector that flags some."""

    @hookimpl
    def make_detector(self, run: DefenseRun) -> Detector:
        """Judge without state."""
        return self

    def inspect(self, queries: Queries, logits: Tensor) -> Verdict:
        """Flag queries of a class."""
        score = logits[:, 0].double()
        return Verdict("watch", score, score > 0)


@define(eq=False)
class Thief:
    """An attack that asks half of its budget, or nothing, and learns nothing."""

    asks: bool
    _run: AttackRun | None = None

    @hookimpl
    def make_attack(self, run: AttackRun) -> Attack:
        """Remember what the run offers."""
        self._run = run
        return self

    def extract(self, oracle: Oracle) -> nn.Module:
        """Return a fresh model."""
        assert self._run is not None
        if self.asks:
            oracle.query(as_float(self._run.pool[: oracle.remaining // 2]))
        return self._run.new_model()


@frozen(eq=False)
class Elsewhere:
    """An oracle that is no victim of this run: nothing is known of its guard."""

    def connect(self, serve: Callable[[], Endpoint]) -> Endpoint:
        """Return an endpoint of its own."""
        return Service(victim(tiny_experiment()))
