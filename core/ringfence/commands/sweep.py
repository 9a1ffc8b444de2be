"""``ringfence sweep``: the product of lists of values, each run once, in its own folder."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import click

from ringfence import plugins
from ringfence.commands.run import parse


@click.command()
@click.argument("spec", type=click.Path(path_type=Path), metavar="SPEC.toml")
@click.option("--out", type=click.Path(path_type=Path), metavar="DIR", required=True)
@click.option("--executor", metavar="NAME", default="local", help="Where runs are done.")
@click.option("--jobs", type=click.IntRange(1), help="Runs at a time. Default: what fits.")
@click.option("--dry-run", is_flag=True, help="Say how many runs there are and how long they take.")
@click.option("--fail-fast", is_flag=True, help="Stop at the first run that fails.")
@click.option(
    "--option", "-o", "options", multiple=True, metavar="NAME.FIELD=VALUE", help="Of the executor."
)
@click.option("--json", "as_json", is_flag=True, help="Print how it ended as JSON.")
def sweep(
    spec: Path,
    out: Path,
    executor: str,
    jobs: int | None,
    dry_run: bool,
    fail_fast: bool,
    options: tuple[str, ...],
    as_json: bool,
) -> None:
    """Do every run of a grid that is not done yet; a killed one goes on where it was.

    Example: ringfence sweep mnist.toml --out runs/mnist --jobs 2
    """
    from ringfence import grid
    from ringfence.commands.board import board
    from ringfence.sweep import Sweep

    planned = Sweep(grid.read(spec), out)
    given = parse(options).get(executor, {})
    made = plugins.build("executors", executor, given | ({"jobs": jobs} if jobs else {}))
    if dry_run:
        _tell(_forecast(planned, jobs), as_json)
        return
    with board(planned, made) as watch:
        tally = planned.run(made, fail_fast=fail_fast, watch=watch)
    _tell(_ended(tally), as_json)
    if tally.failed:
        sys.exit(1)


def _forecast(planned: Any, jobs: int | None) -> dict[str, Any]:
    """Return how much there is to do, and how long that took before."""
    from ringfence.cache import default_folder
    from ringfence.history import estimate, past

    plan, todo = planned.plan, planned.todo()
    runs = past(Path(plan.source.run.get("cache") or default_folder()))
    seconds = [estimate(run.named, runs) for run in todo]
    known = [one for one in seconds if one is not None]
    at_once = jobs or max(1, (os.cpu_count() or 1) // plan.resources.cpus)
    return {
        "runs": len(plan.runs),
        "finished": len(plan.runs) - len(todo),
        "left": len(todo),
        "excluded": [{**point, "why": why} for point, why in plan.excluded],
        "at_once": at_once,
        "seconds": sum(known) / at_once if len(known) == len(todo) else None,
        "unknown": len(todo) - len(known),
    }


def _ended(tally: Any) -> dict[str, Any]:
    return {
        "finished": list(tally.finished),
        "skipped": list(tally.skipped),
        "failed": {one.id: {"status": one.status, "message": one.message} for one in tally.failed},
        "left": list(tally.left),
    }


def _tell(told: dict[str, Any], as_json: bool) -> None:
    from ringfence.commands.board import words

    click.echo(json.dumps(told, indent=2) if as_json else "\n".join(words(told)))
