"""Verify: does a suspect repeat the flipped answers that one client was told?

AMAO, section 4.5 and algorithm 3, with its counter reset for each client as the text means it.
An innocent model repeats almost none of the least likely classes; how many it does repeat is
taken from the controls, not from 1 / K.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from attrs import define, field

from ringfence.claims import p_value
from ringfence.protocols import Oracle
from ringfence.run import DefenseRun
from ringfence.triggers import TriggerSet, hits, shortened, trigger_sets
from ringfence.types import Evidence


@define(eq=False)
class Witness:
    """The verifier at work."""

    run: DefenseRun
    min_pairs: int
    innocent: float
    share: float
    alpha: float
    _report: dict[str, float] = field(factory=dict, init=False)

    def verify(self, suspect: Oracle, controls: Sequence[Oracle]) -> Evidence:
        """Try each client's record; the p-value is corrected for their number.

        The score is the largest share of a record that the suspect repeats.
        """
        limit = min(oracle.remaining for oracle in (suspect, *controls))
        records = self._records(limit)
        sizes = [len(one) for one in records]
        own, *others = [hits(oracle, records) for oracle in (suspect, *controls)]
        tried = [
            (own[n] / size, self._p(own[n], size, [known[n] for known in others]))
            for n, size in enumerate(sizes)
        ]
        least = min((min(1.0, p * len(tried)) for _, p in tried), default=1.0)
        score = max((rate for rate, _ in tried), default=0.0)
        self._report = {"records": len(sizes), "pairs": sum(sizes)}
        guilty = any(rate > self.share and p * len(tried) < self.alpha for rate, p in tried)
        return Evidence(self.run.store.plugin, score, least, guilty)

    def report(self) -> Mapping[str, float]:
        """Say how many records and pairs the last suspect was asked for."""
        return self._report

    def _p(self, right: int, asked: int, others: Sequence[int]) -> float:
        """Return how likely an innocent model repeats so many: binomial, at the null's rate.

        The null is the worst control's rate, one hit added, and no less than ``innocent``: two
        or three controls say little of how much innocent models differ.
        """
        rate = max([self.innocent, *((other + 1) / (asked + 1) for other in others)])
        return p_value(right, asked, min(rate, 1.0))

    def _records(self, limit: int) -> list[TriggerSet]:
        """Return the flips of each client with enough of them, all together at most ``limit``."""
        store = self.run.store
        known = trigger_sets(store.ledger.pairs(plugin=store.plugin, kind="flipped"))
        enough = sorted((one for one in known if len(one) >= self.min_pairs), key=len, reverse=True)
        return shortened(enough[: limit // self.min_pairs], limit)  # to min_pairs at the least
