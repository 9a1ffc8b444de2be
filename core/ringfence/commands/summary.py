"""A result as a table for people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import Group
from rich.table import Table

#: what is shown: a row's name, the place in the result, and what the figure means
ROWS = (
    ("victim accuracy", ("victim", "accuracy"), "on the test set"),
    ("substitute accuracy", ("substitute", "accuracy"), "what the thief got"),
    ("substitute fidelity", ("substitute", "fidelity"), "agreement with the victim"),
    ("benign accuracy", ("benign", "accuracy"), "what ordinary clients are told"),
    ("benign answers changed", ("benign", "changed"), "of their top-1 answers"),
    ("benign clients suspected", ("benign", "suspected"), "ever, by any detector"),
)


def summary(result: Mapping[str, Any]) -> Group:
    """Return what ``ringfence run`` prints."""
    run, seconds = result["run"], result["seconds"]["total"]
    return Group(
        f"{run['dataset']}, {run['model']}, {run['attack']}, {run['labels']} labels, "
        f"{result['attack']['queries']:,} queries, seed {run['seed']}, {run['device']}, "
        f"{seconds:.0f} s",
        _figures(result),
        *_lines(result),
    )


def _figures(result: Mapping[str, Any]) -> Table:
    baseline = result["baseline"]
    table = Table(box=None, pad_edge=False)
    table.add_column("")
    for title in _titles(result):
        table.add_column(title, justify="right")
    table.add_column("", style="dim")
    for name, place, meaning in ROWS:
        figures = [_figure(one, place) for one in (result, baseline) if one]
        table.add_row(name, *figures, meaning)
    return table


def _titles(result: Mapping[str, Any]) -> list[str]:
    defense = " + ".join(result["run"]["defense"]) or "undefended"
    return [defense, "undefended"] if result["baseline"] else [defense]


def _figure(result: Mapping[str, Any], place: tuple[str, str]) -> str:
    value = result[place[0]][place[1]]
    return "-" if value is None else f"{value:.4f}"


def _lines(result: Mapping[str, Any]) -> Iterator[str]:
    for name, found in result["detectors"].items():
        alarm = found["first_alarm"]
        suspected = f"attacker suspected at query {alarm}" if alarm else "attacker not suspected"
        yield f"{name}: {suspected}, AUROC {_number(found['auroc'])}"
    for name, did in result["responders"].items():
        yield f"{name}: changed {_number(did['changed'])} of the attacker's top-1 answers"
    for found in result["evidence"]:
        verdict = "stolen" if found["stolen"] else "not stolen"
        yield f"{found['verifier']}: {found['suspect']} {verdict}, p = {found['p_value']:.2g}"
    if result["run"]["marks"]:
        yield f"marks: {', '.join(result['run']['marks'])}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"
