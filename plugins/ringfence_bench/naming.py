"""Names that tell apart what a report compares: defenders, attackers, settings.

Two runs of one defense with other options are two defenders. A name shows the options whose
values differ within the table, and no others.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import polars as pl

from ringfence_bench.identities import NONE

SPLITTING = ("subset", "given_victim")  #: marks that make another victim of the same names
Row = tuple[str, str, str]  #: names, options as JSON, skipped phases


def name(frame: pl.DataFrame) -> pl.DataFrame:
    """Return the table with the columns ``setting``, ``defender`` and ``attacker``."""
    attack = pl.when(pl.col("recovery") == NONE).then("attack")
    full = attack.otherwise(pl.concat_str("attack", "recovery", separator=" + "))
    frame = frame.with_columns(attackers=full)
    defenders = _labels(frame.select("defense", "defense_options", "skip").rows())
    attackers = _labels(frame.select("attackers", "attack_options", "skip").rows())
    settings = [
        _setting(*row) for row in frame.select("dataset", "model", "marks", "oracle").rows()
    ]
    return frame.drop("attackers").with_columns(
        setting=pl.Series(settings, dtype=pl.String),
        defender=pl.Series(defenders, dtype=pl.String),
        attacker=pl.Series(attackers, dtype=pl.String),
    )


def _setting(dataset: str, model: str | None, marks: str, oracle: str) -> str:
    """Return what is attacked: results of two settings are never averaged."""
    told = [mark for mark in marks.split(" + ") if mark in SPLITTING]
    told += [f"answers from {oracle}"] if oracle != "local" else []
    return f"{dataset}, {model or 'unknown model'}" + (f" ({', '.join(told)})" if told else "")


def _labels(rows: Iterable[Row]) -> list[str]:
    rows = list(rows)
    distinct = {row: _own(row) for row in set(rows)}
    by_names: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for (names, _, _), own in distinct.items():
        by_names[names].append(own)
    varying = {names: _varying(owns) for names, owns in by_names.items()}
    labels = {row: _label(row[0], own, varying[row[0]]) for row, own in distinct.items()}
    return [labels[row] for row in rows]


def _own(row: Row) -> dict[str, Any]:
    """Return the options by NAME.FIELD, and the phases left out."""
    names, options, skip = row
    own = {f"{n}.{k}": v for n, given in json.loads(options).items() for k, v in given.items()}
    skipped = skip.split(" + ") if skip != NONE else []
    phases = [phase for phase in skipped if phase.partition(".")[0] in names.split(" + ")]
    return {**own, "without": " + ".join(phases)}


def _varying(owns: list[dict[str, Any]]) -> list[str]:
    """Return the options that do not have one value."""
    names = sorted({name for own in owns for name in own})
    return [n for n in names if len({json.dumps(own.get(n), sort_keys=True) for own in owns}) > 1]


def _label(names: str, own: dict[str, Any], varying: list[str]) -> str:
    told = [
        f"{n if ' + ' in names else n.partition('.')[2]}={_short(own[n])}"
        for n in varying
        if n in own and n != "without"
    ]
    told += [f"without {own['without']}"] if own["without"] else []
    return f"{names} [{', '.join(told)}]" if told else names


def _short(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
