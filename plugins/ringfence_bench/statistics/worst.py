"""The worst case over attackers: the headline of a defense.

Per seed the most accurate substitute of all attackers counts, then the mean over seeds. An
attacker that one defense never met cannot be its worst: what is missing is said.
"""

from __future__ import annotations

from collections import Counter

import polars as pl
from attrs import frozen

from ringfence_bench.statistics.attackers import ATTACKER, Attacker, named
from ringfence_bench.statistics.cells import VALUE, by_seed
from ringfence_bench.statistics.spread import Spread, spread


@frozen
class Headline:
    """One defender in one setting."""

    setting: str
    defender: str
    worst: Spread  #: the substitute's accuracy, worst case per seed
    worst_by_seed: tuple[float, ...]
    attacker: str  #: who is worst in most seeds
    attackers: int  #: how many it met
    missing: tuple[str, ...]  #: attackers and seeds that other defenders of the setting met
    victim: float | None  #: the victim's accuracy
    trained: tuple[str, ...]  #: how the victim was
    benign: float | None  #: what ordinary clients are told
    benign_changed: float | None
    suspected: float | None  #: share of benign clients ever suspected
    changed: float | None  #: share of the attacker's top-1 answers that were changed
    l1: float | None


@frozen
class _Met:
    """Whom the defenders of one setting met."""

    attackers: dict[Attacker, str]  #: with their names
    seeds: frozenset[int]


def headlines(frame: pl.DataFrame) -> list[Headline]:
    """Return one headline per setting and defender; none where no substitute has an accuracy."""
    runs = frame.partition_by("setting", "defender", as_dict=True)
    found = []
    for (setting,), group in by_seed(frame).group_by("setting", maintain_order=True):
        met = _Met(named({*group.select(ATTACKER).rows()}), frozenset(group["seed"].drop_nulls()))
        for (defender,), own in group.group_by("defender", maintain_order=True):
            found.append(_headline(own, met, runs[setting, defender]))
    return found


def _headline(own: pl.DataFrame, met: _Met, runs: pl.DataFrame) -> Headline:
    top = own.sort(VALUE, descending=True, maintain_order=True).unique(
        "seed", keep="first", maintain_order=True
    )
    values = tuple(top.sort("seed")[VALUE])
    worst = spread(values)
    assert worst is not None, "a group has a row"
    means = ("victim_accuracy", "benign_accuracy", "benign_changed", "benign_suspected")
    victim, benign, changed, suspected = (_mean(runs, column) for column in means)
    return Headline(
        own["setting"][0], own["defender"][0], worst, values, _most(top, met),
        own.select(ATTACKER).n_unique(), tuple(_missing(own, met)), victim,
        tuple(sorted(runs["victim_trained"].drop_nulls().unique())), benign, changed, suspected,
        _mean(runs, "changed"), _mean(runs, "l1"),
    )  # fmt: skip


def _most(top: pl.DataFrame, met: _Met) -> str:
    """Return the attacker that is worst in most seeds, and in how many if not in all."""
    count = Counter(met.attackers[one] for one in top.sort("seed").select(ATTACKER).rows())
    (most, times), *_ = count.most_common(1)
    return most if times == len(top) else f"{most} ({times} of {len(top)} seeds)"


def _missing(own: pl.DataFrame, met: _Met) -> list[str]:
    """Say which attackers and seeds of the setting this defender did not meet."""
    attackers, seeds = own.select(ATTACKER).n_unique(), {*own["seed"]}
    lacking = len(met.attackers) - attackers
    told = [f"{lacking} of {len(met.attackers)} attackers"] if lacking else []
    absent = sorted(met.seeds - seeds)
    told += [f"seed {', '.join(map(str, absent))}"] if absent else []
    holes = attackers * len(seeds) - len(own)
    return [*told, f"{holes} single runs"] if holes else told


def _mean(runs: pl.DataFrame, column: str) -> float | None:
    mean = runs[column].mean()
    return float(mean) if isinstance(mean, float) else None
