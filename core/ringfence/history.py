"""How long runs took: a line per finished run, from which the next sweep is estimated."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from statistics import median
from typing import Any

log = logging.getLogger(__name__)
FILE = "history.jsonl"
SIZE_LIMIT = 4 << 20  #: bytes that are read, from the end
#: what makes two runs take about the same time; the first that both know decides
LIKENESS = (
    ("dataset", "model", "attack", "budget", "device", "threads"),
    ("dataset", "model", "attack", "budget", "device"),
    ("dataset", "model", "attack", "device"),
    ("dataset", "device"),
)


def remember(folder: Path, result: Mapping[str, Any]) -> None:
    """Add a finished run to the history in the cache folder ``folder``, if that can be done."""
    try:
        _append(folder, result)
    except OSError as error:  # the result is there, and worth more
        log.warning("The run was not added to %s: %s", folder / FILE, error.strerror)


def _append(folder: Path, result: Mapping[str, Any]) -> None:
    run = {name: result["run"][name] for name in LIKENESS[0]}
    line = json.dumps({**run, "seconds": round(result["seconds"]["total"], 3)}) + "\n"
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder / FILE, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(handle, line.encode())  # one call: lines of several processes do not mix
    finally:
        os.close(handle)


def past(folder: Path) -> list[dict[str, Any]]:
    """Return the runs of the history, oldest first; lines that cannot be read are passed over."""
    file = folder / FILE
    if not file.exists():
        return []
    with file.open("rb") as opened:
        opened.seek(max(0, file.stat().st_size - SIZE_LIMIT))
        lines = opened.read().decode(errors="replace").splitlines()
    return [run for run in map(_parsed, lines) if run]


def estimate(wanted: Mapping[str, Any], runs: Iterable[Mapping[str, Any]]) -> float | None:
    """Return the median seconds of the runs most like ``wanted``; ``None`` if there is none."""
    runs = list(runs)
    for names in LIKENESS:
        told = [name for name in names if wanted.get(name) is not None]
        alike = [r for r in runs if all(r.get(name) == wanted[name] for name in told)]
        if alike:
            return float(median(run["seconds"] for run in alike))
    return None


def _parsed(line: str) -> dict[str, Any] | None:
    try:
        run = json.loads(line)
    except ValueError:
        return None
    fit = isinstance(run, dict) and isinstance(run.get("seconds"), (int, float))
    return run if fit else None
