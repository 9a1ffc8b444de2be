"""Verify: does a suspect repeat the flipped answers that one client was told?

AMAO, section 4.5 and algorithm 3, with its counter reset for each client as the text means it.
An innocent model repeats almost none of the least likely classes; how many it does repeat is
taken from the controls, not from 1 / K.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import torch
from attrs import define, field
from scipy.stats import binom
from torch import Tensor

from ringfence.images import as_float
from ringfence.ledger import Ledger
from ringfence.protocols import Oracle
from ringfence.run import DefenseRun
from ringfence.types import Evidence, Pairs


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
        found = [_compare(pairs, suspect, controls) for pairs in self._records(limit)]
        tried = [(hits / n, self._p(hits, n, others)) for hits, n, others in found]
        p_value = min((min(1.0, p * len(tried)) for _, p in tried), default=1.0)
        score = max((rate for rate, _ in tried), default=0.0)
        self._report = {"records": len(tried), "pairs": sum(n for _, n, _ in found)}
        guilty = any(rate > self.share and p * len(tried) < self.alpha for rate, p in tried)
        return Evidence(self.run.store.plugin, score, p_value, guilty)

    def report(self) -> Mapping[str, float]:
        """Say how many records and pairs the last suspect was asked for."""
        return self._report

    def _p(self, hits: int, asked: int, others: Sequence[int]) -> float:
        """Return how likely an innocent model repeats so many: binomial, at the null's rate.

        The null is the worst control's rate, one hit added, and no less than ``innocent``: two
        or three controls say little of how much innocent models differ.
        """
        rate = max([self.innocent, *((other + 1) / (asked + 1) for other in others)])
        return float(binom.sf(hits - 1, asked, min(rate, 1.0)))

    def _records(self, limit: int) -> Iterator[Pairs]:
        """Yield the flips of each client with enough of them, all together at most ``limit``."""
        name = self.run.store.plugin
        records = [
            pairs
            for pairs in _by_client(self.run.store.ledger, name)
            if len(pairs) >= self.min_pairs
        ]
        each = max(self.min_pairs, limit // len(records)) if records else 0
        for pairs in records[: limit // each if each else 0]:
            yield Pairs(pairs.images[:each], pairs.answers[:each], pairs.clients[:each])


def _by_client(ledger: Ledger, plugin: str) -> list[Pairs]:
    """Return every client's flips, the longest record first."""
    clients = dict.fromkeys(ledger.pairs(plugin=plugin, kind="flipped").clients)
    found = [ledger.pairs(client, plugin, "flipped") for client in clients]
    return sorted(found, key=len, reverse=True)


def _compare(
    pairs: Pairs, suspect: Oracle, controls: Sequence[Oracle]
) -> tuple[int, int, list[int]]:
    """Return the suspect's hits, the number of pairs, and each control's hits."""
    said = [_hits(pairs, oracle) for oracle in (suspect, *controls)]
    hits, *others = torch.stack(said).tolist()
    return hits, len(pairs), others


def _hits(pairs: Pairs, oracle: Oracle) -> Tensor:
    answers = oracle.query(as_float(pairs.images))
    return (answers.argmax(-1) == pairs.answers.argmax(-1)).sum()
