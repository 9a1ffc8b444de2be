"""The table of runs: one row per finished run, read from result files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import define, field, validators

from ringfence_bench.extra import required

if TYPE_CHECKING:
    from ringfence_bench.results import Results

TOLERANCE = 0.02  #: two rates of changed answers within it count as the same


@define(eq=False)
class Runs:
    """Reads every ``result.json`` below folders into one table."""

    compare: tuple[tuple[str, str], ...] = field(
        default=(), metadata={"help": "pairs of defenses or attacks; none: each against undefended"}
    )
    tolerance: float = field(
        default=TOLERANCE,
        validator=[validators.ge(0), validators.le(1)],
        metadata={"help": "largest difference of two rates of changed answers that are the same"},
    )

    def read(self, places: Sequence[Path]) -> Results:
        """Return the runs of the result files named, and of those below the folders named.

        Raises :class:`ringfence.errors.RingfenceError` where no run is found.
        """
        with required():
            from ringfence_bench.results import Results
            from ringfence_bench.table import collect
        found = collect(places)
        return Results(found, tuple(map(str, places)), self.compare, self.tolerance)
