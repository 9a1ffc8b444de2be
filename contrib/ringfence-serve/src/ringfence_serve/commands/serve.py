"""``ringfence serve``: the defenses in front of a model, over HTTP."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

import click

from ringfence.commands.run import parse

T = TypeVar("T")
_path = click.Path(path_type=Path)


@click.command()
@click.argument("run", type=_path, required=False, metavar="[RUN]")
@click.option(
    "--state",
    type=_path,
    default=Path("guard"),
    metavar="DIR",
    help="Database and keys. Default: guard.",
)
@click.option("--host", default="127.0.0.1", help="Default: 127.0.0.1.")
@click.option("--port", type=click.IntRange(0, 65535), default=8000, help="Default: 8000; 0: any.")
@click.option(
    "--model-file",
    type=_path,
    metavar="FILE",
    help="Guard these weights instead of a run's victim.",
)
@click.option("--upstream", metavar="URL", help="Guard another server (Open Inference Protocol).")
@click.option("--model", metavar="NAME", help="With --model-file: its architecture.")
@click.option(
    "--dataset", metavar="NAME", help="With --model-file, --upstream: what it was trained on."
)
@click.option("--defense", multiple=True, metavar="NAME", help="With these two. Repeatable.")
@click.option(
    "--labels", metavar="FORMAT", help="With these two: soft (default), hard, top3, round2."
)
@click.option("--skip", multiple=True, metavar="NAME.PHASE", help="Leave out one phase.")
@click.option("--data-root", type=_path, metavar="DIR", help="Where data sets lie.")
@click.option("--outliers", metavar="NAME", help="The defender's images.")
@click.option("--cache", type=_path, metavar="DIR", help="What defenses have calibrated.")
@click.option("--device", metavar="NAME", help="cpu (default), cuda, cuda:N.")
@click.option("--threads", type=click.IntRange(1), help="Of PyTorch.")
@click.option("--observe", is_flag=True, help="Score, alarm and record, but change no answer.")
@click.option(
    "--quota", metavar="N", help="Queries a client may ever ask: a number, auto, none (default)."
)
@click.option(
    "--rate", metavar="N", help="Queries a client may ask a second: a number, auto, none (default)."
)
@click.option(
    "--queue", type=click.IntRange(1), default=1024, help="Images that may wait. Default: 1024."
)
@click.option(
    "--even",
    type=click.FloatRange(0, 1000),
    default=0.0,
    metavar="MS",
    help="Answers leave after multiples of so many milliseconds. Default: 0, at once.",
)
@click.option(
    "--repeats",
    type=click.Choice(["same", "pipeline"]),
    default="same",
    help="Same image of same client: the same answer (default), or judge it anew.",
)
@click.option(
    "--secret",
    type=click.Choice(["own", "run"]),
    default="own",
    help="Key of what looks random: this guard's own (default), or from the run's seed.",
)
@click.option(
    "--store", metavar="URL", help="Another database. Default: SQLite in the state folder."
)
@click.option("--webhook", metavar="URL", help="Told of alarms.")
@click.option(
    "--webhook-secret", type=_path, metavar="FILE", help="Signs what the webhook is told."
)
@click.option(
    "--option", "-o", "options", multiple=True, metavar="NAME.FIELD=VALUE", help="Of a plugin."
)
def serve(
    run: Path | None,
    state: Path,
    model_file: Path | None,
    upstream: str | None,
    quota: str | None,
    rate: str | None,
    store: str | None,
    webhook_secret: Path | None,
    options: tuple[str, ...],
    **given: Any,
) -> None:
    """Put defenses in front of a model, and answer over HTTP.

    RUN: the --out of a finished run; its victim is served behind the run's defenses.

    Example: ringfence serve runs/first --state guard --observe
    """
    if sum(one is not None for one in (run, model_file, upstream)) != 1:
        raise click.UsageError("Give one of RUN, --model-file and --upstream.")
    from ringfence_serve import guarded, server, settings  # torch: only when something runs
    from ringfence_serve.store import SqlStore

    own = parse(options)
    named = {name: given.pop(name) for name in _CHOICE}
    named = {name: value for name, value in named.items() if value not in (None, ())}
    kept = SqlStore(store or settings.url_of(state))
    if run is not None:
        _refuse_named(named)
        found = guarded.of_run(run, kept, named, own)
    elif model_file is not None:
        found = guarded.of_file(model_file, kept, named, own)
    else:
        found = guarded.of_upstream(str(upstream), kept, named, own)
    secret = webhook_secret.read_bytes().strip() if webhook_secret else b""
    chosen = settings.Settings(
        state=state,
        quota=_quota(quota, found.cost),
        rate=_rate(rate, found.cost),
        webhook_secret=secret,
        **given,
    )
    server.serve(found, kept, chosen)


#: options that say what is guarded, as a run names it
_CHOICE = (
    "model", "dataset", "defense", "labels", "skip", "data_root", "outliers", "cache", "device",
    "threads",
)  # fmt: skip
#: of these a run knows its own
_OF_RUN = ("model", "dataset", "defense", "labels", "outliers")


def _refuse_named(named: dict[str, Any]) -> None:
    for name in _OF_RUN:
        if name in named:
            raise click.UsageError(
                f"A run has its own --{name}: leave it out, or use --model-file."
            )


def _quota(text: str | None, cost: int | None) -> int | None:
    """Return the quota of clients without one of their own; say what would be sensible."""
    from ringfence_serve.limits import automatic_quota

    automatic = automatic_quota(cost)
    if text in (None, "none"):
        if automatic:
            told = (
                f"This model was attacked with {cost:,} queries in its run, and a client may ask "
            )
            click.echo(f"{told}any number. --quota auto would allow {automatic:,}.", err=True)
        return None
    if text == "auto":
        return _known(automatic, "--quota N")
    if not str(text).isdigit() or int(str(text)) < 1:
        raise click.BadParameter("a number above 0, auto or none", param_hint="--quota")
    return int(str(text))


def _rate(text: str | None, cost: int | None) -> float | None:
    """Return the rate of clients without one of their own."""
    from ringfence_serve.limits import automatic_rate

    if text in (None, "none"):
        return None
    if text == "auto":
        return _known(automatic_rate(cost), "--rate N")
    try:
        rate = float(str(text))
    except ValueError:
        rate = 0.0
    if not 0 < rate < float("inf"):
        raise click.BadParameter("a number above 0, auto or none", param_hint="--rate")
    return rate


def _known(automatic: T | None, instead: str) -> T:
    if automatic is None:
        raise click.UsageError(f"What it costs to steal this model is unknown. Give {instead}.")
    return automatic
