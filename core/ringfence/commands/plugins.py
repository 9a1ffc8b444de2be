"""``ringfence plugins``: what is installed, by the packaging metadata alone."""

from __future__ import annotations

import json

import click

from ringfence import plugins


@click.command("plugins")
@click.argument("kind", required=False, type=click.Choice(list(plugins.KINDS)))
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list.")
def list_plugins(kind: str | None, as_json: bool) -> None:
    """List the installed plugins. Imports none of them.

    Example: ringfence plugins attacks
    """
    rows = [
        {
            "kind": one,
            "name": name,
            "distribution": entry.dist.name if entry.dist else None,
            "version": entry.dist.version if entry.dist else None,
        }
        for one in ((kind,) if kind else plugins.KINDS)
        for name, entry in sorted(plugins.installed(one).items())
    ]
    for row in [] if as_json else rows:
        click.echo("{kind:10} {name:24} {distribution} {version}".format(**row))
    if as_json:
        click.echo(json.dumps(rows, indent=2))
