"""``ringfence show``: what one plugin does, where it comes from, and its options."""

from __future__ import annotations

import inspect
import json
from typing import Any

import click

from ringfence import options, plugins, recipe
from ringfence.errors import UnknownName
from ringfence.hookspecs import PHASES


@click.command()
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list.")
def show(name: str, as_json: bool) -> None:
    """Show a plugin's phases, options, paper and threat model.

    Example: ringfence show knockoffnet
    """
    found = _training() if name == recipe.NAME else _installed(name)
    if as_json:
        click.echo(json.dumps(found, indent=2, default=str))
        return
    for plugin in found:
        _print(plugin)


def _installed(name: str) -> list[dict[str, Any]]:
    """Return every plugin of this name, of whatever kind."""
    kinds = [kind for kind in plugins.KINDS if name in plugins.installed(kind)]
    if not kinds:
        known = {one for kind in plugins.KINDS for one in plugins.installed(kind)}
        raise UnknownName("plugin", name, known | {recipe.NAME})
    return [_describe(name, kind, plugins.load(plugins.find(kind, name))) for kind in kinds]


def _training() -> list[dict[str, Any]]:
    return [_describe(recipe.NAME, "recipe", recipe.Recipe)]


def _describe(name: str, kind: str, cls: type) -> dict[str, Any]:
    phases = [phase for hook, phase in PHASES.items() if hasattr(cls, hook)]
    fields = options.settable(cls)
    return {
        "name": name,
        "kind": kind,
        "meaning": (inspect.getdoc(cls) or "").partition("\n\n")[0].replace("\n", " "),
        "phases": phases,
        "paper": getattr(cls, "paper", None),
        "threat": getattr(cls, "threat", None),
        "variant": getattr(cls, "variant", None),
        "options": [options.describe(option, field) for option, field in fields.items()],
    }


def _print(plugin: dict[str, Any]) -> None:
    click.echo(f"{plugin['name']} ({plugin['kind']}) {' '.join(plugin['phases'])}".rstrip())
    click.echo(f"  {plugin['meaning']}")
    for fact in ("paper", "threat"):
        if plugin[fact]:
            click.echo(f"  {fact}: {plugin[fact]}")
    if plugin["variant"]:
        click.echo(f"  {plugin['name']}:VALUE sets the option {plugin['variant']}")
    for option in plugin["options"]:
        default = "required" if option["required"] else f"= {option['default']!r}"
        told = f"  -o {plugin['name']}.{option['name']}: {option['type']} {default}"
        click.echo(f"{told}  {option['meaning']}".rstrip())
