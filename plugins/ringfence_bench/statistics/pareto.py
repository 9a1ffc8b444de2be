"""Which defenses no other one beats in both respects."""

from __future__ import annotations

from collections.abc import Sequence


def front(points: Sequence[tuple[float, float]]) -> list[bool]:
    """Return for each ``(utility, stolen)`` whether it is on the Pareto front.

    More utility and less stolen is better; a point beaten in one and not better in the other
    is off the front. Equal points are on it together.
    """
    return [not any(_beats(other, point) for other in points) for point in points]


def _beats(one: tuple[float, float], other: tuple[float, float]) -> bool:
    return one != other and one[0] >= other[0] and one[1] <= other[1]
