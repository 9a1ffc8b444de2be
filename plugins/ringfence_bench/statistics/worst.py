"""The worst case over attackers: the headline of a defense.

Per seed the most accurate substitute of all attackers counts, then the mean over seeds. An
attacker that one defense never met cannot be its worst: what is missing is said.
"""

from __future__ import annotations

from collections import Counter

import polars as pl
from attrs import frozen

from ringfence_bench.statistics.attackers import ATTACKER, named
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


def headlines(frame: pl.DataFrame) -> list[Headline]:
    """Return one headline per setting and defender; none where no substitute has an accuracy."""
    seeds = by_seed(frame)
    found = []
    for (setting,), group in seeds.group_by("setting", maintain_order=True):
        for (defender,), own in group.group_by("defender", maintain_order=True):
            runs = frame.filter(setting=setting, defender=defender)
            found.append(_headline(str(setting), str(defender), own, group, runs))
    return found


def _headline(
    setting: str, defender: str, own: pl.DataFrame, group: pl.DataFrame, runs: pl.DataFrame
) -> Headline:
    top = own.sort(VALUE, descending=True, maintain_order=True).unique(
        "seed", keep="first", maintain_order=True
    )
    values = tuple(top.sort("seed")[VALUE])
    worst = spread(values)
    assert worst is not None, "a group has a row"
    means = ("victim_accuracy", "benign_accuracy", "benign_changed", "benign_suspected")
    victim, benign, changed, suspected = (_mean(runs, column) for column in means)
    return Headline(
        setting, defender, worst, values, _most(top, group),
        own.select(ATTACKER).n_unique(), tuple(_missing(own, group)), victim,
        tuple(sorted(runs["victim_trained"].drop_nulls().unique())), benign, changed, suspected,
        _mean(runs, "changed"), _mean(runs, "l1"),
    )  # fmt: skip


def _most(top: pl.DataFrame, group: pl.DataFrame) -> str:
    """Return the attacker that is worst in most seeds, and in how many if not in all."""
    names = named(group.select(ATTACKER).rows())
    count = Counter(names[one] for one in top.sort("seed").select(ATTACKER).rows())
    (most, times), *_ = count.most_common(1)
    return most if times == len(top) else f"{most} ({times} of {len(top)} seeds)"


def _missing(own: pl.DataFrame, group: pl.DataFrame) -> list[str]:
    """Say which attackers and seeds of the setting this defender did not meet."""
    every, met = (set(f.select(ATTACKER).rows()) for f in (group, own))
    told = [f"{len(every - met)} of {len(every)} attackers"] if every - met else []
    seeds = sorted({*group["seed"].drop_nulls()} - {*own["seed"]})
    told += [f"seed {', '.join(map(str, seeds))}"] if seeds else []
    holes = len(met) * own["seed"].n_unique() - len(own)
    return [*told, f"{holes} single runs"] if holes else told


def _mean(runs: pl.DataFrame, column: str) -> float | None:
    mean = runs[column].mean()
    return float(mean) if isinstance(mean, float) else None
