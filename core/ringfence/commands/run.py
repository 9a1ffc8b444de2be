"""``ringfence run``: one run, from names to a result."""

from __future__ import annotations

import ast
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import click

from ringfence import defaults

SELECTION = ("dataset", "model", "attack", "recovery", "defense", "spec")
Options = Mapping[str, Mapping[str, Any]]


@click.command()
@click.option("--dataset", metavar="NAME", help=f"Default: {defaults.DATASET}.")
@click.option(
    "--data-root",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Where data sets lie. Default: RINGFENCE_DATA, else the user's cache folder.",
)
@click.option("--offline", is_flag=True, default=None, help="Download nothing.")
@click.option("--model", metavar="NAME", help="The victim. Default: the data set's.")
@click.option("--substitute", metavar="NAME", help="Default: the victim's model.")
@click.option(
    "--pool",
    metavar="NAME",
    help="The attacker's images: a data set; train: the victim's own, unlabelled; half: half of "
    "them, withheld from the victim. Default: the data set's.",
)
@click.option("--outliers", metavar="NAME", help="The defender's images. Default: the data set's.")
@click.option("--attack", metavar="NAME", help=f"Default: {defaults.ATTACK}.")
@click.option("--recovery", multiple=True, metavar="NAME", help="Repeatable; first is outermost.")
@click.option("--defense", multiple=True, metavar="NAME", help="Repeatable; the order counts.")
@click.option("--skip", multiple=True, metavar="NAME.PHASE", help="Leave out one phase.")
@click.option("--metric", multiple=True, metavar="NAME", help="Further figures. Repeatable.")
@click.option("--labels", metavar="FORMAT", help="soft (default), hard, top3, round2.")
@click.option("--budget", type=click.IntRange(1), help="The attacker's queries.")
@click.option("--benign-clients", type=click.IntRange(0), help="Default: 20.")
@click.option("--attacker-clients", type=click.IntRange(1), help="Default: 1.")
@click.option("--oracle", metavar="NAME", help="Where answers come from. Default: local.")
@click.option("--store", metavar="NAME", help="What keeps the defenses' memory. Default: memory.")
@click.option("--seed", type=int, help="Default: 0.")
@click.option("--device", metavar="NAME", help="cpu (default), cuda, cuda:N.")
@click.option("--threads", type=click.IntRange(1), help="Default: PyTorch's.")
@click.option(
    "--cache",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Trained victims. Default: RINGFENCE_CACHE, else the user's cache folder.",
)
@click.option(
    "--option", "-o", "options", multiple=True, metavar="NAME.FIELD=VALUE", help="Of a plugin."
)
@click.option(
    "--spec", type=click.Path(path_type=Path), metavar="FILE", help="The same values in TOML."
)
@click.option(
    "--out", type=click.Path(path_type=Path), metavar="DIR", help="Result and finished stages."
)
@click.option("--json", "as_json", is_flag=True, help="Print result.json.")
def run(
    out: Path | None, as_json: bool, options: tuple[str, ...], spec: Path | None, **given: Any
) -> None:
    """Train a victim behind defenses, attack it, and report the outcome.

    What a spec file says gives way to what the command line says.

    Example: ringfence run --dataset mnist --attack knockoffnet --labels hard --seed 1
    """
    named = {name: value for name, value in given.items() if value not in (None, ())}
    selected = spec is not None or any(name in named for name in SELECTION)
    if not selected and defaults.DEFENSE:
        named["defense"] = (defaults.DEFENSE,)
    with _progress():
        result = _run(named, parse(options), spec, out, with_baseline=not selected)
    if as_json:
        from ringfence.folder import text

        click.echo(text(result), nl=False)
    else:
        _print_summary(result)


def parse(options: tuple[str, ...]) -> dict[str, dict[str, Any]]:
    """Return ``-o NAME.FIELD=VALUE`` as values by field by name; a value is Python, or text."""
    parsed: dict[str, dict[str, Any]] = defaultdict(dict)
    for text in options:
        target, equals, value = text.partition("=")
        plugin, dot, option = target.partition(".")
        if not (equals and dot and plugin and option):
            shown = f"{target}{equals and '=...'}"  # a value may be a secret
            raise click.BadParameter(f"{shown!r} is not NAME.FIELD=VALUE", param_hint="--option")
        try:
            parsed[plugin][option] = ast.literal_eval(value)
        except (SyntaxError, ValueError, MemoryError, RecursionError):
            parsed[plugin][option] = {"true": True, "false": False}.get(value, value)
    return dict(parsed)


def _run(
    named: dict[str, Any], options: Options, file: Path | None, out: Path | None, **how: bool
) -> dict[str, Any]:
    from ringfence.launch import launch  # torch: only when something runs
    from ringfence.spec import read

    told = read(file) if file else None
    with told.blamed() if told else nullcontext():
        merged = dict(told.run) if told else {}
        every = _merged(told.options if told else {}, options)
        return launch({**merged, **named, "options": every}, out, **how)


def _merged(low: Options, high: Options) -> dict[str, dict[str, Any]]:
    return {name: {**low.get(name, {}), **high.get(name, {})} for name in {**low, **high}}


@contextmanager
def _progress() -> Iterator[None]:
    """Show bars on standard error while something runs, if anybody can see them."""
    if not sys.stderr.isatty():
        yield
        return
    from ringfence.progress import shown, terminal

    with terminal() as display, shown(display):
        yield


def _print_summary(result: Mapping[str, Any]) -> None:
    from rich.console import Console

    from ringfence.commands.summary import summary

    Console().print(summary(result), soft_wrap=True)
