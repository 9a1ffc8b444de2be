"""The table of runs as a file for other programs; the plots as files of their own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from attrs import define, field

from ringfence_bench.extra import required

if TYPE_CHECKING:
    from ringfence_bench.results import Results


@define(eq=False)
class Csv:
    """Writes one row per run as text; null is an empty field."""

    name: str = field(default="runs.csv", metadata={"help": "of the file"})

    def write(self, results: Results, folder: Path) -> Path:
        """Write the table into ``folder`` and return the file."""
        folder.mkdir(parents=True, exist_ok=True)
        results.frame.write_csv(folder / self.name)
        return folder / self.name


@define(eq=False)
class Parquet:
    """Writes one row per run with its types."""

    name: str = field(default="runs.parquet", metadata={"help": "of the file"})

    def write(self, results: Results, folder: Path) -> Path:
        """Write the table into ``folder`` and return the file."""
        folder.mkdir(parents=True, exist_ok=True)
        results.frame.write_parquet(folder / self.name)
        return folder / self.name


@define(eq=False)
class Plots:
    """Writes every plot as SVG and PNG."""

    name: str = field(default="plots", metadata={"help": "of the folder made for them"})

    def write(self, results: Results, folder: Path) -> Path:
        """Write the plots into a folder below ``folder`` and return it."""
        with required():
            from ringfence_bench.plots.drawing import save
            from ringfence_bench.plots.figures import figures
        target = folder / self.name
        target.mkdir(parents=True, exist_ok=True)
        for plot in figures(results.analysis):
            save(plot, target)
        return target
