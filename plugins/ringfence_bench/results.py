"""What a report is made of: the table, its analysis, and that as sheets for people."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import attrs
import polars as pl
from attrs import define

from ringfence_bench.analysis import Analysis, analyse
from ringfence_bench.sheet import Sheet, count
from ringfence_bench.sheets import sheets
from ringfence_bench.table import Collected


@define(eq=False, slots=False)
class Results:
    """The runs that were read, and what they say."""

    collected: Collected
    places: tuple[str, ...]  #: as the user named them
    compare: tuple[tuple[str, str], ...]
    tolerance: float

    @property
    def frame(self) -> pl.DataFrame:
        """One row per run; the columns are those of docs/reports.md."""
        return self.collected.frame

    @property
    def warnings(self) -> list[str]:
        """A line for every file that was left out or counted once."""
        return [*self.collected.left_out, *self.collected.repeated]

    @cached_property
    def analysis(self) -> Analysis:
        """The statistics."""
        return analyse(self.frame, self.compare, self.tolerance)

    @cached_property
    def sheets(self) -> list[Sheet]:
        """The statistics as tables of text."""
        return sheets(self.analysis)

    def read(self) -> str:
        """Return one sentence: what was read."""
        found = self.collected
        return (
            f"{count(len(self.frame), 'run')} of {count(found.files, 'result file')} "
            f"in {', '.join(self.places)}; {len(found.left_out):,} left out, "
            f"{len(found.repeated):,} there twice and counted once."
        )

    def digest(self) -> dict[str, Any]:
        """Return all of it but the single runs, as values of JSON."""
        found = self.collected
        return {
            "places": list(self.places),
            "files": found.files,
            "runs": len(self.frame),
            "left_out": found.left_out,
            "repeated": found.repeated,
            **attrs.asdict(self.analysis),
        }
