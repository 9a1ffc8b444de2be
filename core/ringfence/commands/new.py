"""``ringfence new``: the package of a plugin, to begin with."""

from __future__ import annotations

from pathlib import Path

import click

from ringfence import scaffold


@click.command()
@click.argument("kind", type=click.Choice(list(scaffold.KINDS)))
@click.argument("name")
@click.option(
    "--into",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(),
    metavar="DIR",
    help="Where the package is written. Default: here.",
)
def new(kind: str, name: str, into: Path) -> None:
    """Write a package with a plugin that works, and tests that it passes.

    Example: ringfence new detector entropy
    """
    folder = scaffold.write(kind, name, into)
    click.echo(f"Wrote {folder}. Next: cd {folder}; python -m pip install -e '.[test]'; pytest")
