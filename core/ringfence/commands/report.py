"""``ringfence report``: finished runs as tables, statistics and plots.

The core finds what reads and what writes by name, and imports neither before it is needed.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, Protocol

import click

from ringfence import plugins
from ringfence.errors import RingfenceError

TABLE = "runs"  #: the plugin that reads result files
WIDE = 1000  #: columns where no terminal bounds the lines
FILE = click.Path(dir_okay=False, path_type=Path)


class Sheet(Protocol):
    """A table of text: columns at the places ``names`` are names, the rest figures."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    names: Collection[int]
    remarks: Sequence[str]
    detail: bool


@click.command()
@click.argument(
    "places", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="DIR..."
)
@click.option("--html", type=FILE, metavar="FILE", help="One file with tables and plots.")
@click.option("--csv", type=FILE, metavar="FILE", help="One row per run.")
@click.option("--parquet", type=FILE, metavar="FILE", help="The same, typed.")
@click.option(
    "--plots",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Every plot as SVG and PNG.",
)
@click.option(
    "--report",
    "others",
    type=(str, click.Path(path_type=Path)),
    multiple=True,
    metavar="NAME FILE",
    help="What another installed report writes. Repeatable.",
)
@click.option(
    "--compare",
    nargs=2,
    multiple=True,
    metavar="A B",
    help="Two defenses or two attacks, run by run. Repeatable. Default: each defense against none.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the statistics as JSON.")
def report(
    places: tuple[Path, ...],
    compare: tuple[tuple[str, str], ...],
    others: tuple[tuple[str, Path], ...],
    as_json: bool,
    **files: Path | None,
) -> None:
    """Compare the finished runs below folders.

    Example: ringfence report results --html report.html --compare deceptive none
    """
    results = plugins.build("tables", TABLE, {"compare": compare}).read(places)
    for line in results.warnings:
        click.echo(f"Warning: {line}", err=True)
    wanted = [(name, name, target) for name, target in files.items() if target]
    for option, name, target in (*wanted, *(("report", *other) for other in others)):
        click.echo(f"Wrote {_write(results, option, name, target)}", err=True)
    if as_json:
        click.echo(json.dumps(results.digest(), indent=2))
    else:
        _print(results.read(), results.sheets, results.analysis.notes)


def _write(results: Any, option: str, name: str, target: Path) -> Path:
    """Let the report ``name`` write its file, or its folder of files."""
    maker = plugins.build("reports", name, {"name": target.name})
    try:
        written: Path = maker.write(results, target.parent)
    except OSError as error:
        raise RingfenceError(
            f"{target} cannot be written ({error.strerror}). Choose another --{option}."
        ) from error
    return written


def _print(read: str, sheets: Sequence[Sheet], notes: Sequence[str]) -> None:
    from rich.console import Console

    console = Console(width=None if sys.stdout.isatty() else WIDE, highlight=False, markup=False)
    with console.capture() as printed:
        console.print(read)
        for sheet in sheets:
            if not sheet.detail:
                _print_sheet(console, sheet)
        for note in notes:
            console.print(f"note: {note}")
    for line in printed.get().splitlines():
        click.echo(line.rstrip())  # rich fills its columns up with blanks


def _print_sheet(console: Any, sheet: Sheet) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    for place, column in enumerate(sheet.columns):
        table.add_column(column, justify="left" if place in sheet.names else "right")
    for row in sheet.rows:
        table.add_row(*map(Text, row))  # names from files are no markup
    console.print(f"\n{sheet.title}", style="bold")
    console.print(table)
    for remark in sheet.remarks:
        console.print(f"  {remark}", style="dim")
