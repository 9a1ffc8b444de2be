"""Two defenses, or two attacks, compared run by run.

Runs against one victim are no independent observations: a seed decides the victim, the pool's
order and the substitute's start for all of them. So the differences of a victim's pairs are
averaged first, and intervals and tests count victims.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

import attrs
import polars as pl
from attrs import frozen

from ringfence_bench.statistics.bootstrap import interval
from ringfence_bench.statistics.holm import holm
from ringfence_bench.statistics.pairs import VALUE, Pairs, paired
from ringfence_bench.statistics.signflip import p_value


@frozen
class Comparison:
    """``a`` minus ``b`` in substitute accuracy: below zero, less is stolen with ``a``."""

    column: str  #: defender or attacker
    a: str
    b: str
    setting: str
    pairs: int
    victims: int  #: independent ones among the pairs: what interval and test count
    difference: float | None
    low: float | None  #: of the 95 % interval
    high: float | None
    method: str | None
    p: float | None
    p_holm: float | None  #: over all comparisons of the report
    alone: tuple[int, int]  #: runs of a and of b without a partner
    changed: tuple[float | None, float | None]  #: mean rate of changed answers
    trained: tuple[tuple[str, ...], tuple[str, ...]]  #: how the victims were
    remarks: tuple[str, ...]


def compare(
    frame: pl.DataFrame, wanted: Sequence[tuple[str, str, str]], tolerance: float
) -> list[Comparison]:
    """Return every comparison ``(column, a, b)``, once per setting, p-values corrected."""
    found = [
        _compare(column, a, b, pairs, tolerance)
        for column, a, b in wanted
        for pairs in paired(frame, column, a, b)
    ]
    adjusted = holm([one.p for one in found])
    return [attrs.evolve(one, p_holm=p) for one, p in zip(found, adjusted, strict=True)]


def _compare(column: str, a: str, b: str, pairs: Pairs, tolerance: float) -> Comparison:
    rows = pairs.rows
    differences = rows.select("victim", d=pl.col(VALUE) - pl.col(f"{VALUE}_b"))
    each = differences.group_by("victim").agg(pl.col("d").mean()).sort("victim")["d"].to_list()
    bounds = interval(each)
    changed = tuple(_mean(rows[name]) for name in ("changed", "changed_b"))
    trained = tuple(_distinct(rows[name]) for name in ("victim_trained", "victim_trained_b"))
    remarks = (*_remarks(changed, trained, tolerance), *_gaps(pairs), bounds.remark)
    return Comparison(
        column, a, b, pairs.setting, len(rows), len(each), fmean(each) if each else None,
        bounds.low, bounds.high, bounds.method, p_value(each), None, pairs.alone,
        (changed[0], changed[1]), (trained[0], trained[1]), tuple(filter(None, remarks)),
    )  # fmt: skip


def _remarks(
    changed: Sequence[float | None], trained: Sequence[tuple[str, ...]], tolerance: float
) -> list[str]:
    """Say what else differs between the sides."""
    told = []
    a, b = changed
    if a is not None and b is not None and abs(a - b) > tolerance:
        told.append(f"mixes rates of changed answers: {a:.3f} and {b:.3f}")
    if trained[0] != trained[1]:
        told.append("mixes training: " + " and ".join("/".join(t) or "none" for t in trained))
    return told


def _gaps(pairs: Pairs) -> list[str]:
    told = [f"{n} runs of {side} have no partner" for n, side in zip(pairs.alone, "AB") if n]  # noqa: B905
    if pairs.differ and not len(pairs.rows):
        told.append(f"the nearest runs differ in {', '.join(pairs.differ)}")
    return told


def _mean(values: pl.Series) -> float | None:
    known: list[float] = values.drop_nulls().to_list()
    return fmean(known) if known else None


def _distinct(values: pl.Series) -> tuple[str, ...]:
    return tuple(sorted(values.drop_nulls().unique()))
