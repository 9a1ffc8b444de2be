"""What a result file says at a place such as ``substitute.accuracy``, and figures made of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from statistics import fmean
from typing import Any

from ringfence.errors import BadSpec

Result = Mapping[str, Any]


def watermark(result: Result, verifier: str) -> float | None:
    """Return the share of a verifier's marks that the substitute gives back, if any were asked."""
    if not _asked(result, verifier):
        return None
    return _mean([e["score"] for e in _claims(result, verifier, own=True)])


def control(result: Result, verifier: str) -> float | None:
    """Return the largest such share of a model that is innocent."""
    if not _asked(result, verifier):
        return None
    return max((e["score"] for e in _claims(result, verifier, own=False)), default=None)


def convicted(result: Result, verifier: str) -> float | None:
    """Return 1 if the substitute is called stolen, else 0."""
    return _mean([float(e["stolen"]) for e in _claims(result, verifier, own=True)])


def accused(result: Result, verifier: str) -> float | None:
    """Return the share of innocent models that are called stolen."""
    return _mean([float(e["stolen"]) for e in _claims(result, verifier, own=False)])


def alarmed(result: Result, detector: str) -> float | None:
    """Return 1 if a detector ever suspected the attacker, else 0."""
    told = result["detectors"].get(detector)
    return None if told is None else float(told["first_alarm"] is not None)


MADE: dict[str, Callable[[Result, str], float | None]] = {
    one.__name__: one for one in (watermark, control, convicted, accused, alarmed)
}


def figure(result: Result, value: str) -> float | None:
    """Return the figure ``value``: ``NAME:PLUGIN`` of those above, or keys joined by dots.

    Nothing where the result has none.
    """
    name, colon, plugin = value.partition(":")
    if colon:
        if name not in MADE:
            raise BadSpec(f"{value!r} is no figure: before the colon stands {', '.join(MADE)}.")
        return MADE[name](result, plugin)
    found = at(result, value)
    known = isinstance(found, (int, float)) and not isinstance(found, bool)
    return float(found) if known else None


def at(result: Result, place: str) -> Any:
    """Return what the result holds at keys joined by dots; nothing where there is none."""
    found: Any = result
    for key in place.split("."):
        found = found.get(key) if isinstance(found, Mapping) else None
    return found


def _asked(result: Result, verifier: str) -> bool:
    """Return whether there were marks enough to look for: a score of 0 says nothing else."""
    report = result["verifiers"].get(verifier, {}).get("report", {})
    return bool(report.get("pairs", 1))


def _claims(result: Result, verifier: str, *, own: bool) -> list[Mapping[str, Any]]:
    found = [e for e in result["evidence"] if e["verifier"] == verifier]
    return [e for e in found if (e["suspect"] == "substitute") == own]


def _mean(values: list[float]) -> float | None:
    return fmean(values) if values else None
