"""A filled table, its claims, and a paper's summary, as Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from ringfence_papers.filled import Cell, Filled
from ringfence_papers.spread import Spread
from ringfence_papers.table import Column, Where
from ringfence_papers.verdict import Finding, Verdict, verdicts

DASH = "-"
MANY = 12  #: findings behind a claim, of which only those that fail are told one by one
OF_RUNS = {"convicted", "alarmed"}  #: figures that are 1 or 0 of each run


def page(filled: Filled) -> str:
    """Return one table: published beside measured, the claims' verdicts, the result files."""
    lines = [f"**{filled.table.source}: {filled.table.title}**", "", *rows(filled)]
    if filled.table.note:
        lines += ["", filled.table.note]
    found = list(verdicts(filled))
    if found:
        lines += ["", *(f"* {_told(filled, verdict)}" for verdict in found)]
    left = [_at(row.at) for place, row in enumerate(filled.table.rows) if place not in filled.shown]
    if left:
        lines += ["", f"Not run: {'; '.join(left)}."]
    told = ", ".join(f"`{name}`" for name in filled.files) or "none yet"
    lines += ["", f"Result files: {told}. Sweeps: {', '.join(filled.table.sweeps)}."]
    return "\n".join(lines) + "\n"


def rows(filled: Filled) -> Iterator[str]:
    """Yield the lines of a table: two columns for one that the paper printed, else one."""
    table = filled.table
    names = list(dict.fromkeys(name for row in table.rows for name in row.at))
    printed = {name for row in table.rows for name in row.published}
    heads = [*names]
    for column in table.columns:
        heads += [f"{column.name}: paper", "ours"] if column.name in printed else [column.name]
    yield _line([*heads, "marks"])
    yield _line(["---"] * (len(heads) + 1))
    for place in filled.shown:
        row, cells = table.rows[place], filled.cells[place]
        told = [_name(row.at.get(name, "")) for name in names]
        for column in table.columns:
            if column.name in printed:
                told.append(_number(row.published.get(column.name)))
            told.append(measured(cells[column.name], column))
        yield _line([*told, "; ".join(_marks(cells.values()))])


def summary(tables: Sequence[Filled]) -> str:
    """Return every claim of a paper with its verdict, and the rows behind it."""
    lines = [_line(["claim", "where", "verdict", "rows", "measured"]), _line(["---"] * 5)]
    for filled in tables:
        for verdict in verdicts(filled):
            effects = [one.effect.mean for one in verdict.findings if one.effect]
            scale, unit = _scale(filled, verdict)
            span = [f"{scale * one:.1f}" for one in (min(effects), max(effects))] if effects else []
            lines.append(
                _line(
                    [
                        verdict.claim.says,
                        filled.table.source,
                        f"**{verdict.word}**",
                        _counted(verdict),
                        " to ".join(dict.fromkeys(span)) + unit if span else DASH,
                    ]
                )
            )
    return "\n".join(lines) + "\n"


def measured(cell: Cell, column: Column) -> str:
    """Return a cell as text: the mean and its 95 % interval, or how often something was so."""
    if column.value.partition(":")[0] in OF_RUNS and cell.seeds:
        return f"{sum(cell.seeds.values()):g} of {len(cell.seeds)}"
    return _spread(cell.spread, 100 if column.percent else 1, share=column.percent)


def _spread(found: Spread | None, scale: float, *, share: bool = False) -> str:
    """Return a mean and its interval; where that is none, the least and the greatest figure."""
    if found is None:
        return DASH
    digits = 1 if scale == 100 else 2
    mean, half, least, greatest = (
        f"{scale * one:.{digits}f}"
        for one in (found.mean, found.half or 0, found.least, found.greatest)
    )
    if found.half is None or least == greatest:
        return mean
    if share and found.leaves_shares:
        return f"{mean} ({least} to {greatest})"
    return f"{mean} ± {half}"


def _told(filled: Filled, verdict: Verdict) -> str:
    """Return one claim and what each row says to it."""
    told = f"{verdict.claim.says}: **{verdict.word}**"
    run = [one for one in verdict.findings if one.word != "not run"]
    if len(run) > MANY:  # those that hold are counted
        parts = [
            _counted(verdict),
            *(_found(filled, verdict, one) for one in run if one.word == "fails"),
        ]
        return f"{told} ({'; '.join(parts)})."
    parts = [_found(filled, verdict, one) for one in run]
    rest = verdict.counts["not run"]
    if rest:
        parts.append(f"{rest} {'row' if rest == 1 else 'rows'} not run")
    return f"{told} ({'; '.join(parts)})."


def _found(filled: Filled, verdict: Verdict, one: Finding) -> str:
    row = _at(filled.table.rows[one.row].at)
    scale, _ = _scale(filled, verdict)
    word = "" if one.word == verdict.word else f" {one.word}"
    why = f", {one.why}" if one.why else ""
    theirs = one.published
    if theirs is not None and (verdict.claim.below or verdict.claim.above):
        theirs *= scale
    beside = "" if theirs is None else f", paper {theirs:.1f}"
    bounded = scale == 100 and not (verdict.claim.below or verdict.claim.above)
    return f"{row}{word}: {_spread(one.effect, scale, share=bounded)}{beside}{why}"


def _scale(filled: Filled, verdict: Verdict) -> tuple[float, str]:
    percent = next(c.percent for c in filled.table.columns if c.name == verdict.claim.column)
    relative = verdict.claim.below or verdict.claim.above
    return (100, " points" if relative else " %") if percent else (1, "")


def _at(where: Where) -> str:
    """Return where a row is, as text."""
    return " ".join(_name(value) for value in where.values())


def _name(value: object) -> str:
    return (" + ".join(map(str, value)) or "none") if isinstance(value, list) else str(value)


def _counted(verdict: Verdict) -> str:
    return ", ".join(f"{number} {word}" for word, number in sorted(verdict.counts.items()))


def _number(value: float | None) -> str:
    return DASH if value is None else f"{value:g}"


def _marks(cells: Iterable[Cell]) -> dict[str, None]:
    return dict.fromkeys(mark for cell in cells for mark in cell.marks)


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
