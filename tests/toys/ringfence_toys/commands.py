"""A command of a package."""

from __future__ import annotations

import click

NUMBER = 7  #: no command


@click.command()
@click.option("--name", default="you")
def hello(name: str) -> None:
    """Greet somebody."""
    click.echo(f"hello {name}")
