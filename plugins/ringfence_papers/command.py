"""``ringfence reproduce``: a table of a paper, the published figures beside measured ones."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ringfence import plugins
from ringfence.errors import RingfenceError

if TYPE_CHECKING:
    from ringfence_papers.cells import Asked
    from ringfence_papers.filled import Filled
    from ringfence_papers.results import Results
    from ringfence_papers.study import Study

PLACE = click.Path(path_type=Path)
FILE = click.Path(path_type=Path, dir_okay=False)


@click.command()
@click.argument("table", required=False, metavar="[STUDY[/TABLE]]")
@click.option("--out", type=PLACE, metavar="DIR", help="Do the missing runs, and keep them here.")
@click.option(
    "--results", "places", type=PLACE, multiple=True, metavar="PLACE",
    help="Result files, or folders of them, that count too. Repeatable.",
)  # fmt: skip
@click.option("--dataset", metavar="NAME", help="Whose rows are run. Default: the paper's first.")
@click.option("--model", metavar="NAME", help="Another victim and substitute; cells are marked.")
@click.option("--seeds", type=click.IntRange(1), metavar="N", help="Seeds 0 to N - 1.")
@click.option("--budget-scale", type=float, default=1.0, metavar="X", help="A share of the budget.")
@click.option("--device", metavar="NAME", help="cpu, cuda or cuda:N.")
@click.option("--data-root", metavar="DIR", help="Where data sets lie.")
@click.option("--executor", metavar="NAME", default="local", help="Where runs are done.")
@click.option("--jobs", type=click.IntRange(1), help="Runs at a time. Default: what fits.")
@click.option("--dry-run", is_flag=True, help="Say how many runs are left.")
@click.option("--plot", type=FILE, metavar="FILE.svg", help="The table as a plot.")
@click.option("--into", type=FILE, metavar="FILE.md", help="Fill the marked blocks of a page.")
@click.option(
    "--check",
    is_flag=True,
    help="With --into, --plot: change nothing, fail if out of date.",
)
def reproduce(
    table: str | None,
    out: Path | None,
    places: tuple[Path, ...],
    dataset: str | None,
    executor: str,
    jobs: int | None,
    dry_run: bool,
    plot: Path | None,
    into: Path | None,
    check: bool,
    **changed: Any,
) -> None:
    """Print a table of a paper with our figures beside it, and say which claims hold.

    Without a table: list those there are. With a study's name alone: all its claims.

    Example: ringfence reproduce amao/table3 --out runs/amao --seeds 3
    """
    from ringfence_papers.cells import Asked
    from ringfence_papers.results import Results

    if table is None and into is None:
        _list()
        return
    asked = Asked(**changed)
    if asked.model is not None:
        plugins.find("models", asked.model.partition(":")[0])
    if table and (out or dry_run):
        _run(table, out or Path(), dataset, asked, executor, jobs, dry_run=dry_run)
        if dry_run:
            return
    results = Results(out, places)
    if into:
        _renew(into, results, asked, check=check)
    if table is None:
        return
    filled = _filled(table, results, asked)
    if not into:
        click.echo(_page(table, filled), nl=False)
    if plot:
        _draw(plot, filled, check=check)


def _list() -> None:
    from ringfence_papers.study import KIND, find

    for name in plugins.installed(KIND):
        study = find(name)
        click.echo(f"{name}: {study.settings.title}")
        for table in study.tables:
            told = study.table(table)
            click.echo(f"  {name}/{table}  {told.source}: {told.title}")


def _tables(table: str) -> tuple[Study, list[str]]:
    """Return the study that is named and its table, or all of them."""
    from ringfence_papers.study import find

    name, slash, own = table.partition("/")
    study = find(name)
    return study, [own] if slash else study.tables


def _run(
    table: str,
    out: Path,
    dataset: str | None,
    asked: Asked,
    executor: str,
    jobs: int | None,
    *,
    dry_run: bool,
) -> None:
    from ringfence_papers.running import do, sweeps

    study, names = _tables(table)
    wanted = dataset or next(iter(study.settings.dataset))
    study.setting(wanted)
    failed = 0
    for name in names:
        for sweep in sweeps(study, name, out, wanted, asked):
            if dry_run:
                left, total = len(sweep.todo()), len(sweep.plan.runs)
                click.echo(f"{name}, {sweep.plan.source.path.stem}: {left} of {total} runs left")
            else:
                failed += len(do(sweep, jobs, executor).failed)
    if failed:
        click.echo(f"{failed} runs failed; error.txt in their folders says why.", err=True)
        sys.exit(1)


def _filled(table: str, results: Results, asked: Asked) -> list[Filled]:
    from ringfence_papers.filled import fill

    study, names = _tables(table)
    return [fill(study, name, results, asked) for name in names]


def _page(table: str, filled: list[Filled]) -> str:
    from ringfence_papers.page import page, summary

    return page(filled[0]) if "/" in table else summary(filled)


def _renew(into: Path, results: Results, asked: Asked, *, check: bool) -> None:
    from ringfence_papers.blocks import names, renew

    wanted = dict.fromkeys(names(into))
    made = {name: _page(name, _filled(name, results, asked)) for name in wanted}
    stale = renew(into, made.__getitem__, check=check)
    if stale and check:
        told = ", ".join(stale)
        click.echo(f"{into} is out of date: {told}. Run the same without --check.", err=True)
        sys.exit(1)
    click.echo(f"{into}: {len(stale)} of {len(made)} blocks renewed.", err=True)


def _draw(target: Path, filled: list[Filled], *, check: bool) -> None:
    from ringfence_papers.plot import drawn

    if len(filled) != 1:
        raise RingfenceError("--plot draws one table: name it, as STUDY/TABLE.")
    new = drawn(filled[0])
    if not check:
        target.write_bytes(new)
        click.echo(f"Wrote {target}", err=True)
    elif not target.exists() or target.read_bytes() != new:
        click.echo(f"{target} is out of date. Run the same without --check.", err=True)
        sys.exit(1)
