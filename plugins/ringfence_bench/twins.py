"""How victims were trained, from their undefended twins in the same table.

The cache gives runs of one seed the same plainly trained victim. Where a defended run's victim
is exactly as accurate as its twin's in every seed, its training was plain. On small test sets
that may be chance.
"""

from __future__ import annotations

import polars as pl

from ringfence_bench.training import PLAIN, UNKNOWN

VICTIM = ("dataset", "model", "seed", "recipe", "data_victim", "device", "libraries")
DEFENDER = ("dataset", "model", "defender")


def settle(frame: pl.DataFrame) -> pl.DataFrame:
    """Return the table with ``victim_trained`` settled where twins can tell."""
    twins = (
        frame.filter(pl.col("victim_trained") == PLAIN, pl.col("defense") == "none")
        .unique(VICTIM, keep="first", maintain_order=True)
        .select(*VICTIM, twin="victim_accuracy")
    )
    open_ = pl.col("victim_trained") == UNKNOWN
    same = (pl.col("victim_accuracy") == pl.col("twin")).all().over(DEFENDER)
    settled = pl.when(same).then(pl.lit(PLAIN)).otherwise("defense")
    known = pl.col("twin").is_not_null().any().over(DEFENDER)
    return (
        frame.join(twins, on=VICTIM, how="left", nulls_equal=True, maintain_order="left")
        .with_columns(
            victim_trained=pl.when(open_ & known).then(settled).otherwise("victim_trained")
        )
        .drop("twin")
    )
