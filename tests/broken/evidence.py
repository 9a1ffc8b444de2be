"""Verifiers, each with one fault."""

from __future__ import annotations

import numpy as np
from attrs import define, field

from ringfence import hookimpl
from ringfence.testing import check_verifier
from ringfence.types import Evidence


@define(eq=False)
class Verifier:
    """Keeps every promise: it alters every answer, and compares a suspect with the controls."""

    run: object = field(default=None, init=False)
    made: list = field(factory=list, init=False)

    @hookimpl
    def make_responder(self, run):
        self.run = run
        return self

    @hookimpl
    def make_verifier(self, run):
        self.run = run
        return self

    def respond(self, queries, probs, verdicts):
        self.run.store.mark(queries, probs[:, 0] >= 0, "it")
        self.made.append(len(probs))
        return probs.flip(1)

    def verify(self, suspect, controls):
        pairs = self.run.store.ledger.pairs(plugin=self.run.store.plugin)
        size = min(len(pairs), suspect.remaining)
        if not size:
            return Evidence("it", 0.0, 1.0, False)
        wanted = pairs.answers[:size].argmax(-1)
        rates = [self.rate(one, pairs.images[:size], wanted) for one in (suspect, *controls)]
        return self.judge(rates[0], max(rates[1:]))

    def rate(self, oracle, images, wanted):
        return (oracle.query(images).argmax(-1) == wanted).double().mean().item()

    def judge(self, own, innocent):
        return Evidence("it", own, 0.5, own > innocent + 0.5)


class Insatiable(Verifier):
    def rate(self, oracle, images, wanted):
        return super().rate(oracle, images.repeat(99, 1, 1, 1), wanted.repeat(99))


class Accuser(Verifier):
    """Finds everybody guilty of whom there is a record."""

    def judge(self, own, innocent):
        return Evidence("it", own, 0.0, True)


class Prejudiced(Verifier):
    """Finds everybody guilty."""

    def verify(self, suspect, controls):
        return Evidence("it", 1.0, 0.0, True)


class Certain(Verifier):
    def judge(self, own, innocent):
        return Evidence("it", own, 1.5, False)


class Dividing(Verifier):
    """Divides by the number of classes that a suspect names beside the first one."""

    def rate(self, oracle, images, wanted):
        if len(images) < 9:
            return 0.0
        named = len(set(oracle.query(images).argmax(-1).tolist()))
        return 1 / (named - 1)


class Gambling(Verifier):
    def judge(self, own, innocent):
        return Evidence("it", np.random.rand(), 0.5, False)


class Guessing(Verifier):
    def judge(self, own, innocent):
        return Evidence("it", np.random.default_rng().random(), 0.5, False)


@define(eq=False)
class Witness(Verifier):
    """Remembers in a dictionary of its own by whose run it was made."""

    seen: dict = field(factory=dict)

    def respond(self, queries, probs, verdicts):
        self.seen[id(self.run.store.ledger)] = len(probs)
        return super().respond(queries, probs, verdicts)

    def judge(self, own, innocent):
        known = self.seen.get(id(self.run.store.ledger), 0)
        return Evidence("it", float(known), 0.5, False)


GOOD = [lambda: check_verifier(Verifier())]
BROKEN = {
    "verifier-budget": lambda: check_verifier(Insatiable()),
    "verifier-controls": lambda: check_verifier(Accuser()),
    "verifier-empty": lambda: check_verifier(Prejudiced()),
    "verifier-evidence": lambda: check_verifier(Certain()),
    "verifier-hostile": lambda: check_verifier(Dividing()),
    "verifier-random": lambda: check_verifier(Gambling()),
    "verifier-seed": lambda: check_verifier(Guessing()),
    "verifier-store": lambda: check_verifier(Witness()),
}
