"""A table of a paper in TOML: its rows and columns, what was published, what it claims."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import cattrs
from attrs import field, frozen
from cattrs.v import format_exception

from ringfence import options
from ringfence.errors import BadSpec, UnknownName
from ringfence.spec import toml

Where = Mapping[str, Any]  #: values of a run by name, a plugin's option as NAME.FIELD


@frozen
class Column:
    """One figure of every row, from the runs at ``where``."""

    name: str
    value: str  #: where a result file holds the figure: see docs/reproduce.md
    where: Where = field(factory=dict)
    best_of: tuple[Where, ...] = ()  #: instead of ``where``: the least mean counts
    percent: bool = True


@frozen
class Row:
    """One line: which runs it is about, and what the paper printed."""

    at: Where
    published: Mapping[str, float] = field(factory=dict)  #: by column; percent where ours is


@frozen
class Claim:
    """What the paper says of a table: one column below another, or within bounds."""

    says: str
    column: str
    below: str | None = None  #: another column
    above: str | None = None  #: another column
    at_least: float | None = None
    at_most: float | None = None
    rows: Where = field(factory=dict)  #: those it is about; none: all

    def __attrs_post_init__(self) -> None:
        """Refuse a claim that says nothing, or two things."""
        given = (self.below, self.above, self.at_least, self.at_most)
        if sum(one is not None for one in given) != 1:
            raise ValueError("a claim has one of below, above, at_least, at_most")


@frozen
class Classes:
    """What a plot by class shows: where a result file holds lists of one value per class."""

    bars: str  #: how often each class occurs
    dots: tuple[str, ...]  #: shares


@frozen
class Table:
    """A table, or the figures behind a plot."""

    title: str
    source: str  #: as the paper calls it
    sweeps: tuple[str, ...]  #: names of sweep files beside it; the first that holds a cell fills it
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    claims: tuple[Claim, ...] = ()
    note: str = ""
    plot: Literal["", "dots", "lines", "classes"] = ""
    best: str = ""  #: of a plot of lines: the column at whose greatest mean a rule stands
    classes: Classes | None = None

    def __attrs_post_init__(self) -> None:
        """Refuse names of columns that are not there, and a plot by class of nothing."""
        if (self.plot == "classes") != (self.classes is not None):
            raise ValueError('plot = "classes" and a part [classes] go together')
        known = [column.name for column in self.columns]
        told = [name for row in self.rows for name in row.published]
        told += [n for c in self.claims for n in (c.column, c.below, c.above) if n is not None]
        for name in [*told, *([self.best] if self.best else [])]:
            if name not in known:
                raise UnknownName("column", name, known)


def read(path: Path, kind: type[Any] = Table) -> Any:
    """Return the ``kind`` that the file ``path`` holds; mistakes name the file."""
    _, content = toml(path, "table")
    try:
        return options.converter.structure(content, kind)
    except cattrs.BaseValidationError as error:
        told = "; ".join(cattrs.transform_error(error, format_exception=_told)).rstrip(".")
        raise BadSpec(f"{path} cannot be read as a table: {told}.") from error


def _told(error: BaseException, kind: type[Any] | None) -> str:
    """Return what a class says of its own values; cattrs calls that an unknown error."""
    own = isinstance(error, UnknownName) or type(error) is ValueError
    return str(error) if own else format_exception(error, kind)
