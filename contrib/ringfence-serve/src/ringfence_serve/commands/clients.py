"""``ringfence clients``: who may ask, who is suspected, and what is held against whom."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import msgspec

FIGURES = ("queries", "flagged", "changed")
_path = click.Path(path_type=Path)
_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
_reason = click.option("--reason", default="", help="Why; it becomes evidence.")


@click.group()
@click.option(
    "--state", type=_path, default=Path("guard"), metavar="DIR", help="The guard's folder."
)
@click.option("--store", metavar="URL", help="Its database, where it is not in there.")
@click.pass_context
def clients(context: click.Context, state: Path, store: str | None) -> None:
    """Add clients, look at them, pardon them, export what is held against them.

    Works beside a running guard, which is then asked to do it, and without one.

    Example: ringfence clients --state guard add alice --quota 5000
    """
    context.obj = (state, store)


@clients.command()
@click.argument("name")
@click.option("--quota", type=click.IntRange(1), help="Queries it may ever ask.")
@click.option("--rate", type=float, help="Queries it may ask a second.")
@_reason
@click.pass_obj
def add(target: Any, name: str, quota: int | None, rate: float | None, reason: str) -> None:
    """Add a client and print its key, which is shown this once.

    Example: ringfence clients add alice > alice.key
    """
    done = _do(target, action="add", name=name, quota=quota, rate=rate, reason=reason)
    click.echo(done["key"])


@clients.command("list")
@_json
@click.pass_obj
def list_clients(target: Any, as_json: bool) -> None:
    """List all clients, the suspected first.

    Example: ringfence clients list
    """
    found = _do(target, action="list")
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    for one in found:
        state = [alarm["detector"] for alarm in one["suspected_by"]]
        state += [name for name in ("trusted", "revoked") if one[name]]
        told = "  ".join(f"{one[name]:>9,} {name}" for name in FIGURES)
        click.echo(f"{one['name']:24} {told}  {' '.join(state)}".rstrip())


@clients.command()
@click.argument("name")
@_json
@click.pass_obj
def show(target: Any, name: str, as_json: bool) -> None:
    """Explain what is held against a client: queries, scores, thresholds, decisions.

    Example: ringfence clients show mallory
    """
    found = _do(target, action="show", name=name)
    click.echo(json.dumps(found, indent=2) if as_json else "\n".join(_explained(found)))


def _act(action: str, meaning: str) -> None:
    @clients.command(
        action, help=f"{meaning}\n\nExample: ringfence clients {action} alice --reason 'a mistake'"
    )
    @click.argument("name")
    @_reason
    @click.pass_obj
    def act(target: Any, name: str, reason: str) -> None:
        done = _do(target, action=action, name=name, reason=reason)
        click.echo(", ".join(f"{key} {value}" for key, value in done.items()))


_act("revoke", "Refuse a client's key from now on.")
_act("trust", "Answer a client honestly, whatever defenses say; it is still scored.")
_act("distrust", "End a client's exemption.")
_act("pardon", "Forget what defenses hold against a client; evidence and count stay.")


@clients.command()
@click.pass_obj
def commit(target: Any) -> None:
    """Print a digest of all evidence so far: let somebody else date it.

    Example: ringfence clients commit
    """
    click.echo(_do(target, action="commit")["commitment"])


@clients.command()
@click.option("--commitment", default="", metavar="SEQ:DIGEST", help="Must be a part of it.")
@click.pass_obj
def check(target: Any, commitment: str) -> None:
    """Check that no evidence was changed.

    Example: ringfence clients check --commitment 812:6fe1...
    """
    done = _do(target, action="check", commitment=commitment)
    click.echo(f"{done['entries']} entries, whole: {done['commitment']}")


@clients.command()
@click.argument("name")
@click.option("--out", type=_path, required=True, metavar="FILE", help="A file of JSON lines.")
@click.pass_obj
def export(target: Any, name: str, out: Path) -> None:
    """Write a client's evidence to a file: its own entries, of others only digests.

    Example: ringfence clients export mallory --out mallory.jsonl
    """
    from ringfence_serve.export import save

    save(out, _do(target, action="export", name=name))
    click.echo(str(out))


@clients.command("import")
@click.argument("file", type=click.Path(path_type=Path, exists=True))
@click.option(
    "--out", type=_path, required=True, metavar="DIR", help="For ringfence verify --ledger."
)
@click.option("--commitment", default="", metavar="SEQ:DIGEST", help="Must be a part of it.")
def import_(file: Path, out: Path, commitment: str) -> None:
    """Check exported evidence, and write its ledger for ringfence verify.

    Example: ringfence clients import mallory.jsonl --out mallory --commitment 812:6fe1...
    """
    from ringfence_serve.export import load
    from ringfence_serve.operations import parse

    done = load(file, parse(commitment) if commitment else None, out)
    click.echo(f"{done['client']}: {done['marked']} marked answers, whole: {done['commitment']}")


def _do(target: tuple[Path, str | None], **order: Any) -> Any:
    """Carry out an order: by the guard that is running, or here where none is."""
    from ringfence_serve.direct import perform
    from ringfence_serve.opening import StoreInUse
    from ringfence_serve.operations import Order

    made = msgspec.convert({k: v for k, v in order.items() if v is not None}, Order)
    try:
        return perform(*target, made)
    except StoreInUse:
        from ringfence_serve.direct import ask_server

        return ask_server(target[0], made)


def _explained(found: dict[str, Any]) -> Iterable[str]:
    """Yield the lines for people."""
    yield f"{found['name']}: " + ", ".join(f"{found[name]:,} {name}" for name in FIGURES)
    for name, defense in found["judged_by"].get("defenses", {}).items():
        told = ", ".join(f"{key} {value:.4g}" for key, value in defense["found"].items())
        yield f"  {name} found: {told or 'nothing to tell'}"
    for one in found["decisions"]:
        why = one.get("reason", "")
        if one["event"] == "suspected":
            why = f"by {one['detector']} at query {one['number']:,}, score {one['score']:.4g}"
        yield f"  {_when(one['time'])} entry {one['seq']}: {one['event']} {why}".rstrip()
    for query in found["history"]:
        scores = [
            f"{v['detector']} {v['score']:.4g}{' flagged' if v['flagged'] else ''}"
            for v in query["verdicts"]
        ]
        changed = (
            "would be changed"
            if query["withheld"]
            else "answer changed"
            if query["changed"]
            else ""
        )
        told = ", ".join(one for one in [*scores, changed] if one)
        yield f"  query {query['number']:,} {_when(query['time'])}: {told}"


def _when(time: int) -> str:
    return datetime.fromtimestamp(time / 1_000_000, UTC).isoformat(timespec="seconds")
