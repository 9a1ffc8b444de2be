"""Detectors and responders, each with one fault."""

from __future__ import annotations

import random

import numpy as np
import torch
from attrs import define, field

from ringfence import hookimpl
from ringfence.testing import check_detector, check_responder
from ringfence.types import Verdict


@define
class Count:
    number: int = 0


@define(eq=False)
class Detector:
    """Keeps every promise: it flags by the logits, and counts in the store."""

    store: object = field(default=None, init=False)

    @hookimpl
    def make_detector(self, run):
        self.store = run.store
        return self

    def score(self, queries, logits):
        return logits.double().softmax(-1).amax(-1)

    def inspect(self, queries, logits):
        score = self.score(queries, logits)
        for client, rows in queries.by_client():
            self.store.state(client, Count).number += len(rows)
        return Verdict("it", score, score > 0.5)


class BatchMean(Detector):
    def score(self, queries, logits):
        return logits.double().mean().expand(len(logits))


class EveryClient(Detector):
    """Counts the queries of all clients together."""

    def score(self, queries, logits):
        state = self.store.state("everybody", Count)
        start, state.number = state.number, state.number + len(logits)
        return torch.arange(start, state.number).double()


class Elsewhere(Detector):
    def score(self, queries, logits):
        return logits.amax(-1).to("meta")


class Integers(Detector):
    def score(self, queries, logits):
        return logits.argmax(-1)


class Unbounded(Detector):
    def score(self, queries, logits):
        return logits[:, 0].double() / 0


class Logarithms(Detector):
    """The entropy as the textbook has it: 0 log 0 is not a number."""

    def score(self, queries, logits):
        probs = logits.softmax(-1)
        return -(probs * probs.log()).sum(-1)


class InPlace(Detector):
    def score(self, queries, logits):
        return queries.images.mul_(0.5).flatten(1).sum(-1)


class Drawing(Detector):
    def score(self, queries, logits):
        return logits.amax(-1) + random.random()


@define(eq=False)
class Calibrated(Detector):
    """Calibrates with noise that no seed rules."""

    shift: float = field(default=0.0, init=False)

    @hookimpl
    def make_detector(self, run):
        self.store = run.store
        self.shift = run.cached("noise", lambda: np.random.default_rng().random())
        return self

    def score(self, queries, logits):
        return logits.double().amax(-1) + self.shift


class OneScore(Detector):
    def score(self, queries, logits):
        return logits.double().amax()


@define(eq=False)
class Forgetful(Detector):
    """Counts clients' queries in an attribute."""

    seen: dict = field(factory=dict, init=False)

    def score(self, queries, logits):
        score = torch.zeros(len(logits), dtype=torch.float64)
        for client, rows in queries.by_client():
            start = self.seen.get(client, 0)
            score[rows] = torch.arange(start, start + len(rows)).double()
            self.seen[client] = start + len(rows)
        return score


@define(eq=False)
class Responder:
    """Keeps every promise: it answers honestly."""

    store: object = field(default=None, init=False)
    noise: float = field(default=0.0, init=False)
    seen: dict = field(factory=dict, init=False)

    @hookimpl
    def make_responder(self, run):
        self.store = run.store
        self.noise = run.cached("noise", lambda: self.draw())
        return self

    def draw(self):
        return 0.0

    def respond(self, queries, probs, verdicts):
        return probs


def mixed(probs, share):
    """Return answers mixed with the uniform one by ``share``, a number or one per row."""
    share = torch.as_tensor(share, dtype=torch.float64).reshape(-1, 1)
    return (1 - share) * probs + share / probs.shape[1]


class MixedByBatch(Responder):
    def respond(self, queries, probs, verdicts):
        return mixed(probs, len(probs) / 100)


class MixedByArrival(Responder):
    """What one client is told depends on how many queries others have sent."""

    def respond(self, queries, probs, verdicts):
        state = self.store.state("everybody", Count)
        start, state.number = state.number, state.number + len(probs)
        return mixed(probs, torch.arange(start, state.number).double() / 1000)


class AnswersElsewhere(Responder):
    def respond(self, queries, probs, verdicts):
        return probs.to("meta")


class SinglePrecision(Responder):
    def respond(self, queries, probs, verdicts):
        return probs.float()


class NoNumbers(Responder):
    def respond(self, queries, probs, verdicts):
        return probs * torch.nan


class LoneMaximum(Responder):
    """Scales by the second largest probability, which may be zero."""

    def respond(self, queries, probs, verdicts):
        scaled = probs / probs.topk(2).values[:, 1:]
        return scaled / scaled.sum(-1, keepdim=True)


class Overwriting(Responder):
    def respond(self, queries, probs, verdicts):
        return probs.fill_(1 / probs.shape[1])


class DrawsWhileServing(Responder):
    def respond(self, queries, probs, verdicts):
        return mixed(probs, torch.rand(1).item())


class Halved(Responder):
    def respond(self, queries, probs, verdicts):
        return probs / 2


class DrawsUnseeded(Responder):
    def draw(self):
        return np.random.default_rng().random()

    def respond(self, queries, probs, verdicts):
        return mixed(probs, self.noise)


class Dropping(Responder):
    def respond(self, queries, probs, verdicts):
        return probs[:-1]


class RemembersHere(Responder):
    """Alters a client's later answers, and counts them in an attribute."""

    def respond(self, queries, probs, verdicts):
        share = torch.zeros(len(probs), dtype=torch.float64)
        for client, rows in queries.by_client():
            start = self.seen.get(client, 0)
            share[rows] = (torch.arange(start, start + len(rows)) > 3).double() / 2
            self.seen[client] = start + len(rows)
        return mixed(probs, share)


DETECTORS = {
    "batches": BatchMean,
    "clients": EveryClient,
    "device": Elsewhere,
    "dtype": Integers,
    "finite": Unbounded,
    "hostile": Logarithms,
    "inputs": InPlace,
    "random": Drawing,
    "seed": Calibrated,
    "shape": OneScore,
    "store": Forgetful,
}
RESPONDERS = {
    "batches": MixedByBatch,
    "clients": MixedByArrival,
    "device": AnswersElsewhere,
    "dtype": SinglePrecision,
    "finite": NoNumbers,
    "hostile": LoneMaximum,
    "inputs": Overwriting,
    "random": DrawsWhileServing,
    "rows": Halved,
    "seed": DrawsUnseeded,
    "shape": Dropping,
    "store": RemembersHere,
}
GOOD = [lambda: check_detector(Detector()), lambda: check_responder(Responder())]


def _broken(kind, check, classes):
    return {f"{kind}-{word}": lambda cls=cls: check(cls()) for word, cls in classes.items()}


BROKEN = _broken("detector", check_detector, DETECTORS)
BROKEN |= _broken("responder", check_responder, RESPONDERS)
