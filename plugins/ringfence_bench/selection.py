"""Which defenders or attackers the user's ``--compare A B`` names."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from ringfence.errors import RingfenceError, UnknownName
from ringfence_bench.identities import NONE

NAMES = {"defender": "defense", "attacker": "attack"}  #: a column, and what users call it


def wanted(frame: pl.DataFrame, given: Sequence[tuple[str, str]]) -> list[tuple[str, str, str]]:
    """Return ``(column, a, b)`` for every pair given; by default each defense against none."""
    if given:
        return [_resolved(frame, _plain(a), _plain(b)) for a, b in given]
    defenders = sorted(frame["defender"].unique())
    return [("defender", one, NONE) for one in defenders if one != NONE and NONE in defenders]


def _resolved(frame: pl.DataFrame, a: str, b: str) -> tuple[str, str, str]:
    for column, names in NAMES.items():
        if a in _known(frame, column, names) and b in _known(frame, column, names):
            pair = (column, _one(frame, column, names, a), _one(frame, column, names, b))
            if pair[1] == pair[2]:
                raise RingfenceError(f"--compare {a!r} {b!r} names the same twice. Name another.")
            return pair
    known = {name for column, names in NAMES.items() for name in _known(frame, column, names)}
    for name in (a, b):
        if name not in known:
            raise UnknownName("defense or attack of these runs", name, known)
    raise RingfenceError(f"{a!r} and {b!r} are a defense and an attack. Name two of one kind.")


def _one(frame: pl.DataFrame, column: str, names: str, given: str) -> str:
    """Return the only defender or attacker of this name, or the one that is written like it."""
    if given in (every := {*frame[column]}):
        return given
    variants: list[str] = sorted(every & {*frame.filter(pl.col(names) == given)[column]})
    if len(variants) > 1:
        told = ", ".join(map(repr, variants))
        raise RingfenceError(f"{given!r} was run in several ways. Name one of them: {told}.")
    return variants[0]


def _known(frame: pl.DataFrame, column: str, names: str) -> set[str]:
    return {*frame[column], *frame[names]}


def _plain(name: str) -> str:
    """Return ``a+b`` as the table writes it; what follows a bracket is kept."""
    names, bracket, rest = name.partition(" [")
    return " + ".join(part.strip() for part in names.split("+")) + bracket + rest
