"""One expected defense, rehearsed: a meta-classifier that detects it, a restorer that undoes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import itemgetter
from typing import Any

from attrs import frozen
from torch import Generator, nn

from ringfence.answers import answer_format
from ringfence.protocols import Oracle
from ringfence.run import AttackRun
from ringfence_ddae import detection
from ringfence_ddae.detection import Meta
from ringfence_ddae.expected import Expected
from ringfence_ddae.formats import HARD
from ringfence_ddae.restorer import Restorer, errors, learn, network, recipe
from ringfence_ddae.shadows import Shadow
from ringfence_ddae.simulation import Guarded, balanced, collect, guard

TRUSTED = 0.9  #: AUC on held-out shadow models from which on a meta-classifier is believed


@frozen
class Effort:
    """How much is spent on one rehearsal."""

    warmup: int  #: pool images that each client sends first
    repeats: int  #: of the meta-classifier
    steps: int  #: of one of them, at least
    pairs: int  #: answers that the restorer learns from
    passes: int  #: epochs of the restorer
    balance: bool | None  #: whether half of them are changed ones; none: both are tried


@frozen(eq=False)
class Rehearsed:
    """What was learnt of one defense."""

    name: str
    meta: Meta | None  #: none for hard labels, which tell too little
    restorer: Restorer
    report: Mapping[str, float]  #: on shadow models that nothing was learnt from

    def score(self, oracle: Oracle) -> float:
        """Return what the meta-classifier says of the victim, above 0: disrupted. One query."""
        return self.meta.score(oracle.query(self.meta.image)).item() if self.meta else 0.0

    def rules_out(self, score: float) -> bool:
        """Return whether the defense is not there: a classifier says so that can tell."""
        return score <= 0 and self.report.get("auc", 0.0) >= TRUSTED

    @property
    def harms(self) -> bool:
        """Whether the attacker's own models say that answers are better left as they are."""
        return self.report["restored_l1"] >= self.report["disturbed_l1"]


def rehearse(
    run: AttackRun,
    defense: Expected,
    shadows: Sequence[Shadow],
    own: Sequence[nn.Module],
    format: str,
    effort: Effort,
    key: str,
) -> Rehearsed:
    """Learn to detect and to undo ``defense``; cached under ``key`` and the defense.

    ``own``: models whose posterior the restorer sees beside an answer; it may be empty. An
    eighth of ``shadows`` validates, a quarter tests.
    """

    def make() -> dict[str, Any]:
        guarded = [
            guard(run, shadow, number, defense, answer_format(format), effort.warmup)
            for number, shadow in enumerate(shadows)
        ]
        return _learnt(run, guarded, list(own), format, effort)

    made = run.cached(f"{defense.name}/{defense.code}/{format}/{key}", make)
    net = network(run.num_classes, beside=bool(own)).to(run.device)
    net.load_state_dict(made["restorer"])
    meta = detection.restored(made["meta"], run.num_classes) if made["meta"] else None
    return Rehearsed(defense.name, meta, Restorer(net.eval()), made["report"])


def _learnt(
    run: AttackRun,
    guarded: Sequence[Guarded],
    own: Sequence[nn.Module],
    format: str,
    effort: Effort,
) -> dict[str, Any]:
    tests, checks = max(2, len(guarded) // 4), max(1, len(guarded) // 8)
    test, known = guarded[:tests], guarded[tests:]
    report: dict[str, float] = {}
    meta = None
    if format != HARD:
        meta = detection.train(run, known[checks:], known[:checks], effort.repeats, effort.steps)
        report["auc"] = detection.auc(meta, test)
    random = run.generator("restorer")
    restorer, half = _restorer(run, known[checks:], known[:checks], own, format, effort, random)
    fresh = collect(run, test, own, effort.pairs // 4, random)
    report |= {**errors(restorer, fresh, format), "balanced": float(half)}
    return {"meta": meta and meta.state(), "restorer": restorer.net.state_dict(), "report": report}


def _restorer(
    run: AttackRun,
    known: Sequence[Guarded],
    checks: Sequence[Guarded],
    own: Sequence[nn.Module],
    format: str,
    effort: Effort,
    random: Generator,
) -> tuple[Restorer, bool]:
    """Return a restorer, and whether half of what it learnt were changed answers.

    Unless that is given, the one that brings the answers of ``checks`` nearer to what was meant.
    """
    pairs = collect(run, known, own, effort.pairs, random)
    fresh = collect(run, checks, own, effort.pairs // 4, random)
    tried = []
    for half in (False, True) if effort.balance is None else (effort.balance,):
        net = network(run.num_classes, beside=bool(own)).to(run.device)
        learn(
            net, balanced(pairs, random) if half else pairs, recipe(effort.passes), format, random
        )
        tried.append((errors(Restorer(net), fresh, format)["restored_l1"], half, Restorer(net)))
    _, half, best = min(tried, key=itemgetter(0))
    return best, half
