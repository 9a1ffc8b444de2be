"""Pairs of runs that agree in everything but what is compared."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl
from attrs import frozen

VALUE = "substitute_accuracy"
#: what must agree whatever is compared; threads and plugin versions are left to the notes
SHARED = (
    "setting", "dataset", "model", "substitute", "pool", "labels", "budget", "seed",
    "benign_clients", "attacker_clients", "owner_queries", "oracle", "store", "device",
    "libraries", "recipe", "other_options", "data_victim", "data_attacker",
)  # fmt: skip
#: what must agree too, by the column that is compared
SIDE = {
    "defender": ("attack", "recovery", "attack_options", "attacker"),
    "attacker": ("defense", "defense_options", "defender", "outliers"),
}
VICTIM = ("seed", "recipe", "device", "libraries", "data_victim", "other_options")
NAMES = ("attacker", "defender")  #: made of other columns, which say more


@frozen(eq=False)
class Pairs:
    """The pairs of one setting: a row each with ``a``, ``b``, ``victim``; and who is alone."""

    setting: str
    rows: pl.DataFrame
    alone: tuple[int, int]  #: runs of either side without a partner
    differ: tuple[str, ...]  #: the fewest columns in which one of these misses a partner


def paired(frame: pl.DataFrame, column: str, a: str, b: str) -> list[Pairs]:
    """Return the pairs of ``a`` and ``b``, names in ``column``, for every setting of both.

    With no such setting, those of either side are returned, to say why nothing is compared.
    """
    keys = [*SHARED, *SIDE[column]]
    left, right = (_side(frame, column, name, keys) for name in (a, b))
    settings = sorted({*left["setting"], *right["setting"]})
    both = sorted({*left["setting"]} & {*right["setting"]})
    return [
        _pairs(s, left.filter(setting=s), right.filter(setting=s), keys) for s in both or settings
    ]


def _side(frame: pl.DataFrame, column: str, name: str, keys: list[str]) -> pl.DataFrame:
    """Return one row per key: runs that differ in nothing else are averaged."""
    return (
        frame.filter(pl.col(column) == name, pl.col(VALUE).is_not_null())
        .group_by(keys, maintain_order=True)
        .agg(
            pl.col(VALUE, "changed").mean(),
            pl.col("victim_trained").first(),
            runs=pl.len().cast(pl.Int64),
        )
    )


def _pairs(setting: str, left: pl.DataFrame, right: pl.DataFrame, keys: list[str]) -> Pairs:
    rows = left.join(right, on=keys, nulls_equal=True, suffix="_b", maintain_order="left")
    alone = [
        one.join(other, on=keys, how="anti", nulls_equal=True)
        for one, other in ((left, right), (right, left))
    ]
    return Pairs(
        setting,
        rows.with_columns(victim=pl.struct(VICTIM).rank("dense")),
        (int(alone[0]["runs"].sum()), int(alone[1]["runs"].sum())),
        _differ(alone[0] if len(alone[0]) else left, alone[1] if len(alone[1]) else right, keys),
    )


def _differ(left: pl.DataFrame, right: pl.DataFrame, keys: Sequence[str]) -> tuple[str, ...]:
    """Return in which columns the first runs of one side miss their nearest partner."""
    tried = left.head(20).select(keys).rows()
    partners = right.head(200).select(keys).rows()
    found = [
        tuple(k for k, x, y in zip(keys, one, other, strict=True) if x != y and k not in NAMES)
        for one in tried
        for other in partners
    ]
    return min((f for f in found if f), key=len, default=())
