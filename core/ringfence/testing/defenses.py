"""The contracts of the four phases of a defense."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from attrs import evolve
from torch import Tensor

from ringfence.answers import refused
from ringfence.experiment import Experiment
from ringfence.images import as_float
from ringfence.protocols import Detector, Responder, Trainer, Verifier
from ringfence.selection import ask, manager
from ringfence.service import Service
from ringfence.testing.tiny import SIZES, made, session, tiny_experiment, traffic
from ringfence.types import Evidence, Queries, Verdict


def check_trainer(plugin: Any) -> None:
    """The trained model has the architecture that was given; the data are left alone."""
    run = tiny_experiment()
    trainer = made("make_trainer", plugin, run=run.for_defense("it"))
    assert isinstance(trainer, Trainer), f"{trainer!r} has no train()"
    before = run.train.images.clone()
    model = trainer.train(run.new_model(), run.train)
    run.new_model().load_state_dict(model.state_dict())  # or it cannot be cached
    assert torch.equal(before, run.train.images), "train() must not change its data"


def check_detector(plugin: Any) -> None:
    """Scores and flags: one per query, finite, the same for any split into batches."""
    answers = [torch.cat(list(_inspected(evolve(plugin), sizes))) for sizes in SIZES]
    for other in answers[1:]:
        assert torch.equal(other, answers[0]), "verdicts depend on the batch size"


def check_responder(plugin: Any) -> None:
    """Answers are soft labels, the same for any split into batches; inputs are left alone."""
    answers = [torch.cat(list(_responded(evolve(plugin), sizes))) for sizes in SIZES]
    for other in answers[1:]:
        assert torch.equal(other, answers[0]), "answers depend on the batch size"


def check_verifier(plugin: Any) -> None:
    """Gives evidence within the owner's limit; accuses nobody when nothing was marked."""
    nothing = _evidence(evolve(plugin), traffic=False)
    assert not nothing.stolen, "accuses without any evidence"
    assert nothing.p_value == 1, "an empty ledger is no evidence: p_value is 1"
    _evidence(evolve(plugin), traffic=True)


def _defender(hook: str, plugin: Any) -> tuple[Experiment, Any]:
    torch.manual_seed(0)
    run = tiny_experiment()
    return run, made(hook, plugin, run=run.for_defense("it"), victim=run.new_model().eval())


def _inspected(plugin: Any, sizes: Sequence[int]) -> Iterator[Tensor]:
    """Yield verdicts as columns: score, flagged, suspected."""
    run, detector = _defender("make_detector", plugin)
    assert isinstance(detector, Detector), f"{detector!r} has no inspect()"
    for queries, logits in traffic(run, sizes):
        with run.store.batch(queries.clients):
            verdict = _untouched(detector.inspect, queries, logits)
        assert verdict.score.shape == (len(logits),), "one score per query"
        assert verdict.flagged.shape == (len(logits),), "one flag per query"
        assert verdict.flagged.dtype is torch.bool, "flags are booleans"
        assert verdict.score.isfinite().all(), "scores are finite"
        suspected = verdict.flagged if verdict.suspected is None else verdict.suspected
        assert suspected.dtype is torch.bool, "suspicion is a boolean"
        yield torch.stack([verdict.score.double(), verdict.flagged, suspected], 1)


def _responded(plugin: Any, sizes: Sequence[int]) -> Iterator[Tensor]:
    """Yield answers; the second of three clients is suspected from its third query on."""
    run, responder = _defender("make_responder", plugin)
    assert isinstance(responder, Responder), f"{responder!r} has no respond()"
    for queries, logits in traffic(run, sizes):
        probs = logits.double().softmax(-1)
        guilty = torch.tensor([client == "client-1" for client in queries.clients])
        verdict = Verdict("any", guilty.double(), guilty, guilty & (queries.first >= 2))
        with run.store.batch(queries.clients):
            after = _untouched(responder.respond, queries, probs, [verdict])
            run.store.settle(queries, after)
        assert after.shape == probs.shape, "one soft label per query"
        assert after.dtype is torch.float64, "probabilities stay float64"
        assert (after >= 0).all(), "soft labels are not negative"
        told = ~refused(after)
        torch.testing.assert_close(
            after.sum(-1)[told], probs.sum(-1)[told], msg="rows sum to one, or are refusals"
        )
        yield after


def _untouched(serve: Callable[..., Any], queries: Queries, values: Tensor, *more: Any) -> Any:
    """Return what ``serve`` returns; it must draw nothing and change no input."""
    state, images, before = torch.get_rng_state(), queries.images.clone(), values.clone()
    result = serve(queries, values, *more)
    assert torch.equal(state, torch.get_rng_state()), "draws random numbers while serving"
    assert torch.equal(values, before), "must not change its input"
    assert torch.equal(queries.images, images), "must not change the queries"
    return result


def _evidence(plugin: Any, *, traffic: bool) -> Evidence:
    torch.manual_seed(0)
    run, pm = tiny_experiment(), manager({"it": plugin})
    victim = run.new_model().eval()
    arguments = {"run": run.for_defense("it"), "victim": victim}
    responders = ask(pm, "make_responder", lambda _: arguments)
    verifier = ask(pm, "make_verifier", lambda _: arguments)["it"]
    assert isinstance(verifier, Verifier), f"{verifier!r} has no verify()"
    if traffic:
        service = Service(victim, {}, responders, run.store)
        service.answer(as_float(run.pool), ["client-0", "client-1", "client-2"] * 32)
    suspect, *controls = [session(run, run.new_model(), 200) for _ in range(4)]
    evidence: Evidence = verifier.verify(suspect, controls)
    assert 0 <= evidence.p_value <= 1, "the p-value is a probability"
    assert abs(evidence.score) < float("inf"), "the score is finite"
    assert isinstance(evidence.stolen, bool), "stolen is a bool"
    return evidence
