"""One self-contained HTML file: tables, plots and notes; no script, nothing from outside."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from attrs import define, field

from ringfence.atomic import write_text
from ringfence_bench.extra import required

if TYPE_CHECKING:
    from ringfence_bench.results import Results


@define(eq=False)
class Html:
    """Writes a report as one HTML page; the same runs give the same bytes."""

    name: str = field(default="report.html", metadata={"help": "of the file"})

    def write(self, results: Results, folder: Path) -> Path:
        """Write the page into ``folder`` and return the file."""
        with required():
            from ringfence_bench.page import page
        write_text(folder / self.name, page(results))
        return folder / self.name
