"""The verifier at work: does a suspect know the wrong answers that one client was given?"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from attrs import define, frozen

from ringfence.claims import false_claim, p_value, smallest_set, tolerated
from ringfence.protocols import Oracle
from ringfence.run import DefenseRun
from ringfence.triggers import TriggerSet, hits, shortened, trigger_sets
from ringfence.types import Evidence


@frozen
class Found:
    """What one client's set says of a suspect."""

    share: float  #: of the set's labels that the suspect answers
    p_value: float  #: corrected for the number of clients
    proven: bool


@define(eq=False)
class Finder:
    """Judges a suspect by every client's trigger set, corrected for trying them all."""

    run: DefenseRun
    bits: float
    tolerance: float | None
    chance: float

    def verify(self, suspect: Oracle, controls: Sequence[Oracle]) -> Evidence:
        """Return the evidence of the set that speaks loudest against the suspect.

        ``score`` is the share of that set's labels that the suspect answers.
        """
        limit = min(oracle.remaining for oracle in (suspect, *controls))
        sets = shortened(self._sets(), limit)
        own, innocent = hits(suspect, sets), [hits(control, sets) for control in controls]
        found = [
            self._judge(len(one), own[n], max((some[n] for some in innocent), default=0), len(sets))
            for n, one in enumerate(sets)
        ]
        name = self.run.store.plugin
        if not found:
            return Evidence(name, 0.0, 1.0, False)
        best = min(found, key=lambda one: (one.p_value, -one.share))
        return Evidence(name, best.share, best.p_value, any(one.proven for one in found))

    def report(self) -> Mapping[str, float]:
        """Say how large the sets are, and how large one must be: 0 where no size is enough."""
        sizes = [len(one) for one in self._sets()]
        bits = self.bits + math.log2(max(1, len(sizes)))  # for trying them all
        needed = smallest_set(self.tolerance, self.chance, bits) or 0
        return {"sets": len(sizes), "largest": max(sizes, default=0), "needed": needed}

    def _sets(self) -> list[TriggerSet]:
        store = self.run.store
        return trigger_sets(store.ledger.pairs(plugin=store.plugin))

    def _judge(self, size: int, own: int, innocent: int, tried: int) -> Found:
        """Judge by one set: hits of the suspect, the most of any control, number of sets."""
        chance = max(self.chance, innocent / size)
        corrected = min(1.0, tried * p_value(own, size, chance))
        bound = corrected
        if self.tolerance is not None:
            known = size - own <= tolerated(size, self.tolerance)
            bound = min(1.0, tried * false_claim(size, self.tolerance, chance)) if known else 1.0
        return Found(own / size, corrected, bound <= 2.0**-self.bits)
