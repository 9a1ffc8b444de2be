"""What the defenses did, over all detectors, responders and verifiers of one result file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

Result = Mapping[str, Any]
PLAIN, GIVEN = "plain", "given"
MARK = "given_victim"  #: the victim was the user's own model
SUBSTITUTE = "substitute"  #: the suspect that is no control


def change(key: str) -> Callable[[Result], float | None]:
    """Return what says how far the attacker's answers were changed; ``key``: changed or l1.

    None in files that were written before the whole guard's changes stood there.
    """
    return lambda result: result["attack"].get(key)


def trained(result: Result) -> str | None:
    """Return how the victim was: plain, given, or the defense that did; None: no victim."""
    victim = result["victim"]
    if victim["accuracy"] is None:
        return None
    return GIVEN if MARK in result["run"]["marks"] else victim.get("trainer") or PLAIN


def first_alarm(result: Result) -> int | None:
    """Return the attacker's queries until any detector suspected it."""
    alarms = [found["first_alarm"] for found in result["detectors"].values()]
    return min((alarm for alarm in alarms if alarm is not None), default=None)


def p_substitute(result: Result) -> float | None:
    """Return the smallest p-value over the verifiers; not corrected for their number."""
    return min(_values(result, "p_value", stolen=True), default=None)


def p_control(result: Result) -> float | None:
    """Return the smallest p-value over verifiers and controls; not corrected either."""
    return min(_values(result, "p_value", stolen=False), default=None)


def stolen(result: Result) -> bool | None:
    """Return whether any verifier calls the substitute stolen; None without evidence."""
    said = _values(result, "stolen", stolen=True)
    return any(said) if said else None


def false_claims(result: Result) -> int | None:
    """Return how many controls were called stolen; None without controls."""
    said = _values(result, "stolen", stolen=False)
    return sum(map(bool, said)) if said else None


def _values(result: Result, key: str, *, stolen: bool) -> list[Any]:
    """Return a figure of the evidence against the substitute, or against the controls."""
    found = [e[key] for e in result["evidence"] if (e["suspect"] == SUBSTITUTE) == stolen]
    return [value for value in found if value is not None]
