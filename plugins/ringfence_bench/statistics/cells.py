"""Cells of the report: one defender against one attacker, over seeds."""

from __future__ import annotations

import polars as pl
from attrs import frozen

from ringfence_bench.statistics.attackers import ATTACKER, Attacker
from ringfence_bench.statistics.spread import Spread, spread

VALUE = "substitute_accuracy"


@frozen
class Cell:
    """The substitutes of one attacker against one defender."""

    setting: str
    defender: str
    attacker: str
    labels: str | None
    budget: int | None
    pool: str | None
    substitute: str | None
    attacker_clients: int | None
    seeds: tuple[int, ...]
    accuracies: tuple[float, ...]  #: of the substitute, one per seed
    accuracy: Spread | None

    @property
    def who(self) -> Attacker:
        """The attacker as the values of its columns."""
        return tuple(getattr(self, column) for column in ATTACKER)


def by_seed(frame: pl.DataFrame) -> pl.DataFrame:
    """Return one row per defender, attacker and seed; runs that differ elsewhere are averaged."""
    return (
        frame.drop_nulls(VALUE)
        .group_by("setting", "defender", *ATTACKER, "seed", maintain_order=True)
        .agg(pl.col(VALUE).mean(), runs=pl.len().cast(pl.Int64))
    )


def cells(frame: pl.DataFrame) -> list[Cell]:
    """Return every cell of the table, sorted by name."""
    keys = ("setting", "defender", *ATTACKER)
    grouped = by_seed(frame).group_by(keys, maintain_order=True).agg("seed", VALUE).sort(keys)
    return [
        Cell(
            **{key: row[key] for key in keys},
            seeds=tuple(row["seed"]),
            accuracies=tuple(row[VALUE]),
            accuracy=spread(row[VALUE]),
        )
        for row in grouped.iter_rows(named=True)
    ]
