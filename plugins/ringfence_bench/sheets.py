"""The analysis as tables of text, alike for a terminal and for HTML."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

from ringfence_bench.analysis import Analysis
from ringfence_bench.sheet import (
    ABSENT,
    Sheet,
    between,
    figure,
    probability,
    signed,
    spreading,
)
from ringfence_bench.statistics.cells import Cell
from ringfence_bench.statistics.comparison import Comparison
from ringfence_bench.statistics.rates import SameRate
from ringfence_bench.statistics.worst import Headline

One = TypeVar("One", Headline, Comparison, Cell)


def sheets(analysis: Analysis) -> list[Sheet]:
    """Return every table of the report, the headlines first."""
    return [
        *_per_setting(analysis.headlines, _headlines),
        *_per_setting(analysis.comparisons, _comparisons),
        *map(_rate, analysis.same_rate),
        *_per_setting(analysis.cells, _cells),
    ]


def _per_setting(found: Iterable[One], make: Callable[[str, list[One]], Sheet]) -> list[Sheet]:
    groups: dict[str, list[One]] = {}
    for one in found:
        groups.setdefault(one.setting, []).append(one)
    return [make(setting, group) for setting, group in sorted(groups.items())]


def _gathered(told: Iterable[tuple[str, str]]) -> tuple[str, ...]:
    """Return each remark once, after all whom it is about."""
    about: dict[str, list[str]] = {}
    for who, remark in told:
        about.setdefault(remark, []).append(who)
    return tuple(f"{', '.join(names)}: {remark}." for remark, names in about.items())


def _headlines(setting: str, group: list[Headline]) -> Sheet:
    return Sheet(
        f"Worst case over attackers: {setting}",
        "Accuracy of the best substitute of any attacker, per seed, then mean ± standard deviation "
        "over seeds: lower protects better. Benign: what ordinary clients are told.",
        (
            "defense",
            "substitute",
            "seeds",
            "victim",
            "benign",
            "changed",
            "trained",
            "worst attacker",
        ),
        tuple(map(_headline, sorted(group, key=lambda h: (h.worst.mean, h.defender)))),
        names=(0, 7),
        remarks=_gathered(
            (h.defender, f"lacks {', '.join(h.missing)}: the worst case may be elsewhere")
            for h in group
            if h.missing
        ),
    )


def _headline(h: Headline) -> tuple[str, ...]:
    figures = figure(h.victim), figure(h.benign), figure(h.changed, 3)
    trained = "/".join(h.trained) or ABSENT
    return (h.defender, spreading(h.worst), str(h.worst.n), *figures, trained, h.attacker)


def _comparisons(setting: str, group: list[Comparison]) -> Sheet:
    return Sheet(
        f"Run by run: {setting}",
        "A minus B in the substitute's accuracy, over pairs of runs that agree in everything else; "
        "below zero, less is stolen with A. Pairs of one victim are averaged first: interval and "
        "test count victims. p: sign flips, corrected by Holm over all comparisons.",
        ("A", "B", "A − B", "95 % interval", "p", "p, Holm", "pairs", "victims"),  # noqa: RUF001
        tuple(map(_comparison, group)),
        names=(0, 1),
        remarks=_gathered(
            (f"{c.a} against {c.b}", "; ".join((*_method(c), *c.remarks)))
            for c in group
            if c.remarks or c.method
        ),
    )


def _comparison(c: Comparison) -> tuple[str, ...]:
    test = probability(c.p), probability(c.p_holm)
    bounds = between(c.low, c.high, sign=True)
    return (c.a, c.b, signed(c.difference), bounds, *test, str(c.pairs), str(c.victims))


def _method(c: Comparison) -> list[str]:
    return [f"{c.method} bootstrap"] if c.method else []


def _rate(group: SameRate) -> Sheet:
    span = figure(group.low, 3)
    if figure(group.high, 3) != span:
        span += f" to {figure(group.high, 3)}"
    return Sheet(
        f"At the same rate of changed answers, {span}: {group.setting}",
        f"Victims trained the same way: {group.trained}. Changed: of the attacker's top-1 answers.",
        ("defense", "substitute, worst", "seeds", "changed", "l1", "benign"),
        tuple(
            (h.defender, spreading(h.worst), str(h.worst.n), figure(h.changed, 3), figure(h.l1),
             figure(h.benign))
            for h in group.members
        ),
        remarks=_gathered(
            (h.defender, f"lacks {', '.join(h.missing)}") for h in group.members if h.missing
        ),
    )  # fmt: skip


def _cells(setting: str, group: list[Cell]) -> Sheet:
    return Sheet(
        f"Every attacker: {setting}",
        "The substitute's accuracy, mean ± standard deviation over seeds; Student's t interval of "
        "the mean from three seeds on.",
        ("defense", "attacker", "labels", "pool", "substitute", "accounts", "budget", "accuracy",
         "95 % interval", "seeds"),
        tuple(map(_cell, group)),
        names=(0, 1, 2, 3, 4),
        detail=True,
    )  # fmt: skip


def _cell(c: Cell) -> tuple[str, ...]:
    names = (c.defender, c.attacker, c.labels or ABSENT, c.pool or ABSENT, c.substitute or ABSENT)
    numbers = (str(c.attacker_clients), ABSENT if c.budget is None else f"{c.budget:,}")
    if c.accuracy is None:
        return (*names, *numbers, ABSENT, ABSENT, "0")
    bounds = between(c.accuracy.low, c.accuracy.high)
    return (*names, *numbers, spreading(c.accuracy), bounds, str(c.accuracy.n))
