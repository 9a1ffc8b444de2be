"""What a reader must know before believing a table: mixing, gaps, marks, machines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

import polars as pl

from ringfence_bench.identities import NONE
from ringfence_bench.statistics.worst import Headline

#: columns whose mixing changes figures, and what to call them
MIXED = {
    "device": "devices",
    "libraries": "versions",
    "plugins": "versions of plugins",
    "threads": "numbers of threads",
    "recipe": "recipes of victims",
    "data_victim": "data of victims",
}

BY_SEED = {"data_victim"}  #: each seed cuts its own validation set from the training images


def notes(frame: pl.DataFrame, headlines: Sequence[Headline], tolerance: float) -> list[str]:
    """Return sentences, the gravest first."""
    told: list[str] = []
    for setting, group in groupby(headlines, key=lambda h: h.setting):
        told += [f"{setting}: {sentence}" for sentence in _setting(list(group), tolerance)]
    return [*told, *_runs(frame), *_marks(frame), *_mixed(frame)]


def _setting(group: list[Headline], tolerance: float) -> Iterator[str]:
    rates = [h.changed for h in group if h.changed is not None]
    if rates and max(rates) - min(rates) > tolerance:
        yield (
            "the headline table mixes rates of changed answers "
            f"({min(rates):.3f} to {max(rates):.3f}); see the tables at the same rate."
        )
    trained = sorted({one for h in group for one in h.trained})
    if len(trained) > 1:
        yield f"the headline table mixes how victims were trained: {', '.join(trained)}."
    if NONE not in {h.defender for h in group}:
        yield "there is no undefended run to compare with."
    if any(h.missing for h in group):
        yield "not every defense met every attacker in every seed; see the remarks."


def _runs(frame: pl.DataFrame) -> Iterator[str]:
    """Yield what single runs lack."""
    counts = {
        "no local victim, so what needs one is not given": pl.col("victim_accuracy").is_null(),
        "no substitute's accuracy, so they are in no table of this report": (
            pl.col("substitute_accuracy").is_null()
        ),
    }
    for what, condition in counts.items():
        if number := len(frame.filter(condition)):
            yield f"{number:,} of {len(frame):,} runs: {what}."


def _marks(frame: pl.DataFrame) -> Iterator[str]:
    marks = frame.select(pl.col("marks").str.split(" + ")).explode("marks")["marks"]
    for mark, number in sorted(marks.value_counts().rows()):
        if mark != NONE:
            yield f"{number:,} of {len(frame):,} runs are marked {mark}."


def _mixed(frame: pl.DataFrame) -> Iterator[str]:
    for column, what in MIXED.items():
        keys = ["setting", "seed"] if column in BY_SEED else ["setting"]
        groups = frame.group_by(keys, maintain_order=True).agg(pl.col(column).unique())
        told = set()
        for setting, *_, values in groups.rows():
            if len(values) > 1 and setting not in told:
                told.add(setting)
                yield f"{setting}: mixes {len(values)} {what}{_listed(column, values)}."


def _listed(column: str, values: list[str | int | None]) -> str:
    """Return short values after a colon; recipes and hashes are in the table."""
    if column in ("recipe", "data_victim"):
        return ""
    return ": " + "; ".join(sorted("default" if v is None else str(v) for v in values))
