"""A filled table as a plot."""

from __future__ import annotations

from io import BytesIO

from ringfence.errors import RingfenceError
from ringfence_papers import classes, dots, lines
from ringfence_papers.filled import Filled

LINES = 3.2  #: inches


def drawn(filled: Filled) -> bytes:
    """Return the plot of a table as SVG; the same figures give the same bytes."""
    try:
        import matplotlib
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise RingfenceError(
            "Plots need matplotlib. Install the extra: pip install 'ringfence[report]'."
        ) from error
    target = BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": "ringfence", "font.size": 9}):
        figure = Figure(figsize=(7.2, _height(filled)), layout="constrained")
        {"lines": lines, "classes": classes}.get(filled.table.plot, dots).draw(filled, figure)
        figure.suptitle(f"{filled.table.title} ({filled.table.source})", fontsize=9, wrap=True)
        figure.savefig(target, format="svg", metadata={"Date": None, "Creator": None})
    return target.getvalue()


def _height(filled: Filled) -> float:
    if filled.table.plot == "lines":
        return LINES
    return classes.height(filled) if filled.table.plot == "classes" else dots.height(filled)
