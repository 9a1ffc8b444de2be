"""Which query of a group is flipped: the one with the largest gap, as far as one can tell.

Queries come one by one, so this is the secretary problem: let the first ones pass, then take
the first that beats them all. AMAO, section 4.4.1 and algorithm 2.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache

from attrs import define

NONE = 2.0  #: more than any slack


@define
class Group:
    """Where one client stands in its present group."""

    seen: int = 0  #: queries of the group so far
    best: float = NONE  #: the least slack among those that were let pass
    flipped: bool = False  #: this group has had its flip
    number: int = 0  #: of whole groups before


def advance(group: Group, slack: float, period: int, reject: int) -> bool:
    """Count one query of a client; return whether it is the one to flip.

    ``slack``: one minus its gap, so that less is a larger gap. The first ``reject`` queries of
    a group only set the mark; if none beats it, the last of the ``period`` is flipped.
    """
    group.seen += 1
    flip = False
    if group.seen <= reject:
        group.best = min(group.best, slack)
    elif not group.flipped:
        flip = group.flipped = slack < group.best or group.seen == period
    _close(group, period)
    return flip


def arrive(group: Group, period: int, place: int) -> bool:
    """Count one query of a client; return whether it is the one at ``place`` of its group."""
    group.seen += 1
    flip = group.seen == place + 1
    _close(group, period)
    return flip


def _close(group: Group, period: int) -> None:
    """Begin the next group behind the last query of one."""
    if group.seen == period:
        group.seen, group.best, group.flipped = 0, NONE, False
        group.number += 1


@cache
def exact(period: int) -> int:
    """Return how many to let pass so that the best is taken most often.

    The chance is ``P(r) = (r - 1) / M * sum of 1 / (i - 1), i = r .. M`` with ``r - 1`` let pass,
    AMAO's formula before its limit; ``P(1) = 1 / M``.
    """
    chances = [1 / period] + [
        passed / period * math.fsum(1 / i for i in range(passed, period))
        for passed in range(1, period)
    ]
    return chances.index(max(chances))


def paper(period: int) -> int:
    """Return the paper's number, ``M / e`` rounded down, minus one: one or two too few.

    Algorithm 2 taken to the letter looks at its element ``floor(M / e)`` in neither loop.
    """
    return max(0, int(period / math.e) - 1)


def slacks(probs: Sequence[Sequence[float]]) -> list[float]:
    """Return ``1 - (largest - smallest)`` of each row, equation 11, without its saturation.

    A confident answer's gap is 1 in any floating-point format; ``fsum`` takes the largest away
    without rounding, so that what is left is exact to the last bit, however rows were batched.
    """
    return [math.fsum((*row, min(row), -max(row))) for row in probs]
