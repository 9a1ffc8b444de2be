"""The text of the HTML report. Everything from a result file is escaped."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from ringfence_bench.plots.drawing import inline
from ringfence_bench.plots.figures import MEANINGS, figures, left_out
from ringfence_bench.results import Results

TITLES = {
    "attacks": "Every attack and defense",
    "queries": "Accuracy against queries",
    "utility": "Utility against protection",
}


def page(results: Results) -> str:
    """Return the report as HTML."""
    environment = Environment(
        loader=PackageLoader("ringfence_bench", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    frame = results.frame
    return environment.get_template("report.html.jinja").render(
        read=results.read(),
        warnings=results.warnings[:20],
        more=max(0, len(results.warnings) - 20),
        sheets=[sheet for sheet in results.sheets if not sheet.detail],
        details=[sheet for sheet in results.sheets if sheet.detail],
        notes=results.analysis.notes,
        plots=list(_plots(results)),
        plots_left_out=left_out(results.analysis),
        versions=sorted({*frame["libraries"], *frame["plugins"]} - {"none"}),
        devices=sorted({*frame["device"].drop_nulls()}),
        seeds=sorted({*frame["seed"].drop_nulls()}),
        tolerance=results.tolerance,
    )


def _plots(results: Results) -> Iterator[dict[str, Any]]:
    """Yield the plots of each kind, drawn."""
    for kind, group in groupby(figures(results.analysis), key=lambda plot: plot.kind):
        drawn = [(plot.title, Markup(inline(plot))) for plot in group]
        yield {"title": TITLES[kind], "meaning": MEANINGS[kind], "drawn": drawn}
