"""``ringfence verify``: is this model a copy of the one that a finished run guarded?"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import click

from ringfence.commands.run import parse


@click.command()
@click.option("--suspect", metavar="FILE", required=True, help="Who is accused; or a URL.")
@click.option(
    "--ledger", metavar="FILE", required=True, help="A run's --out, its ledger, or STORE:VALUE."
)
@click.option(
    "--control",
    "controls",
    metavar="FILE",
    multiple=True,
    required=True,
    help="A model that is innocent. Repeatable.",
)
@click.option("--verifier", metavar="NAME", required=True, help="The defense whose marks count.")
@click.option("--model", metavar="NAME", help="Of weights in a file. Default: the victim's.")
@click.option(
    "--owner-queries", type=click.IntRange(1), default=10_000, help="To each model, at most."
)
@click.option("--device", metavar="NAME", default="cpu", help="cpu (default), cuda, cuda:N.")
@click.option("--threads", type=click.IntRange(1), help="Default: PyTorch's.")
@click.option(
    "--option", "-o", "options", multiple=True, metavar="NAME.FIELD=VALUE", help="Of a plugin."
)
@click.option("--json", "as_json", is_flag=True, help="Print the evidence as JSON.")
def verify(options: tuple[str, ...], as_json: bool, **given: Any) -> None:
    """Judge a suspect by the marked answers of a finished run, beside innocent controls.

    FILE: weights (safetensors, or a state dict saved by torch.save), or a stage of a run:
    RUN/stages/attack holds its substitute, RUN/stages/victim its victim. A URL is asked through
    the oracle plugin of that name, with its options: -o http.keyfile=FILE. STORE:VALUE is a store
    plugin, such as sql:sqlite:///guard/guard.db.

    Example: ringfence verify --suspect runs/a/stages/attack --ledger runs/a --control
    runs/b/stages/victim --verifier dawn
    """
    from ringfence.case import Case
    from ringfence.verification import verify as judged

    found = judged(Case(**given, options=parse(options)))
    click.echo(json.dumps(found, indent=2) if as_json else "\n".join(_words(found)))


def _words(found: Mapping[str, Any]) -> Iterator[str]:
    """Yield the lines for people."""
    ledger, registration = found["ledger"], found["registration"]
    yield f"{found['verifier']}: {ledger['marked']} marked answers to {ledger['clients']} clients"
    if registration is None:
        yield "not registered: nobody can tell when this ledger was written"
    else:
        yield f"registered {registration['time']}, digest {registration['digest']}"
        yield f"  the ledger fits; the victim {_fit(registration['victim'])}"
    for one in found["evidence"]:
        verdict = "stolen" if one["stolen"] else "not stolen"
        yield f"{one['suspect']}: {verdict}, score {one['score']:.4f}, p = {one['p_value']:.2g}"
    if any(one["stolen"] for one in found["evidence"][1:]):
        yield "A control is found guilty too: this evidence accuses nobody."


def _fit(victim: str) -> str:
    return "fits too" if victim == "fits" else "is not at hand"
