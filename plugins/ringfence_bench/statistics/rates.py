"""Defenses side by side at the same rate of changed answers, victims trained the same way."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from attrs import frozen

from ringfence_bench.statistics.worst import Headline


@frozen
class SameRate:
    """Defenders that may be set side by side, the best protection first."""

    setting: str
    trained: str
    low: float  #: the smallest of their rates of changed answers
    high: float
    members: tuple[Headline, ...]


def same_rate(headlines: Sequence[Headline], tolerance: float) -> list[SameRate]:
    """Return groups of at least two defenders whose rates lie within ``tolerance``.

    Rates are sorted, and a group ends before the first that is more than the tolerance above
    its smallest. A defender whose rate or whose victims' one training is not known is in none.
    """
    fit = [h for h in headlines if _fits(h)]
    fit.sort(key=lambda h: (h.setting, h.trained, h.changed, h.defender))
    found = []
    for (setting, trained), group in groupby(fit, key=lambda h: (h.setting, h.trained[0])):
        for members in _chained(list(group), tolerance):
            if len(members) > 1:
                rates = [h.changed or 0.0 for h in members]
                best = sorted(members, key=lambda h: (h.worst.mean, h.defender))
                found.append(SameRate(setting, trained, min(rates), max(rates), tuple(best)))
    return found


def _fits(headline: Headline) -> bool:
    return len(headline.trained) == 1 and headline.changed is not None


def _chained(group: list[Headline], tolerance: float) -> Iterator[list[Headline]]:
    """Yield runs of the sorted group that span no more than the tolerance."""
    members: list[Headline] = []
    for one in group:
        if members and (one.changed or 0.0) - (members[0].changed or 0.0) > tolerance + 1e-12:
            yield members
            members = []
        members.append(one)
    if members:
        yield members
