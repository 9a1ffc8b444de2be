"""Rows of result files as one polars table; what was left out, and what was there twice."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl
from attrs import define, field

from ringfence.errors import RingfenceError
from ringfence_bench import naming
from ringfence_bench.columns import COLUMNS, row
from ringfence_bench.files import Unreadable, find, read

TYPES = {str: pl.String, int: pl.Int64, float: pl.Float64, bool: pl.Boolean}
SCHEMA = {column.name: TYPES[column.kind] for column in COLUMNS}
SAME = next(i for i, c in enumerate(COLUMNS) if c.name == "seconds_victim")  #: clocks may differ


@define(eq=False)
class Collected:
    """The table and how it came about."""

    frame: pl.DataFrame
    files: int  #: how many were looked at
    left_out: list[str]  #: a line for each file that is no result
    repeated: list[str]  #: a line for each run that is there again


@define(eq=False)
class _Rows:
    by_run: dict[str, tuple[Any, ...]] = field(factory=dict)
    left_out: list[str] = field(factory=list)
    repeated: list[str] = field(factory=list)

    def add(self, file: Path) -> None:
        """Add the run of a file, and the undefended run beside it."""
        try:
            for result, beside in _runs(read(file)):
                values = row(result)
                if values[0] not in self.by_run:
                    self.by_run[values[0]] = values
                elif not beside:
                    self._repeat(file, values)
        except Unreadable as error:
            self.left_out.append(f"{file} is left out: {error}.")

    def _repeat(self, file: Path, values: tuple[Any, ...]) -> None:
        known = self.by_run[values[0]]
        other = ", with other figures" if known[:SAME] != values[:SAME] else ""
        self.repeated.append(f"{file} holds run {values[0]} again{other}; it counts once.")


def collect(places: Sequence[Path]) -> Collected:
    """Return the table of all runs in ``places``; its rows are in the order of their names."""
    rows, files = _Rows(), 0
    for file in find(places):
        files += 1
        rows.add(file)
    if not rows.by_run:
        told = f" {rows.left_out[0]}" if rows.left_out else ""
        raise RingfenceError(
            f"No finished run is in {', '.join(map(str, places))}.{told} "
            "Make one with: ringfence run --out DIR."
        )
    frame = pl.DataFrame(list(rows.by_run.values()), schema=SCHEMA, orient="row")
    return Collected(_named(frame), files, rows.left_out, rows.repeated)


def _named(frame: pl.DataFrame) -> pl.DataFrame:
    """Return the table with names, in an order that no folder decides."""
    named = naming.name(frame)
    order = ("setting", "defender", "attacker", "labels", "budget", "seed", "run")
    return named.select(*order[:3], pl.exclude(order[:3])).sort(order)


def _runs(result: Mapping[str, Any]) -> Iterator[tuple[Mapping[str, Any], bool]]:
    """Yield the run of a file, then its baseline, and whether it is one."""
    yield result, False
    baseline = result.get("baseline")
    if isinstance(baseline, dict):
        yield {"baseline": None, "seconds": {}, **baseline}, True
