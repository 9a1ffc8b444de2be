"""What makes an attacker besides its name, and how that is written where it tells two apart."""

from __future__ import annotations

from collections.abc import Iterable

Attacker = tuple[str | int | None, ...]
#: the columns that are one attacker: its name, the answers it gets, its queries ...
ATTACKER = ("attacker", "labels", "budget", "pool", "substitute", "attacker_clients")
#: ... and what is written only where it differs: images, architecture, accounts
RARE = {3: "pool {}", 4: "substitute {}", 5: "accounts {}"}


def apart(attackers: Iterable[Attacker]) -> dict[Attacker, str]:
    """Return for each attacker what it has besides name, labels and budget and others have not.

    The text starts with a comma, or is empty where all attackers have the same.
    """
    every = [*attackers]
    varying = [place for place in RARE if len({one[place] for one in every}) > 1]
    return {one: "".join(f", {RARE[p].format(one[p])}" for p in varying) for one in every}


def named(attackers: Iterable[Attacker]) -> dict[Attacker, str]:
    """Return each attacker as people write it: its name, answers, queries, what tells it apart."""
    return {one: _plain(one) + rest for one, rest in apart(attackers).items()}


def _plain(attacker: Attacker) -> str:
    who, labels, budget, *_ = attacker
    told = [str(who), *([str(labels)] if labels else [])]
    return ", ".join([*told, f"{budget:,} queries"] if budget is not None else told)
