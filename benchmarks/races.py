"""Races: two ways to treat queries, by turns in one process on the same images.

The figures are medians over the turns; a ratio is taken within each turn.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any, TypeVar

import torch
from attrs import frozen

from ringfence.errors import RingfenceError

#: On a CPU shared with others, the processor's own seconds say more; on one thread only.
CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}

Figures = dict[str, Any]
T = TypeVar("T")


@frozen(eq=False)
class Race:
    """Two ways to treat queries, how many each call treats, and what was promised."""

    ours: Callable[[], object]
    other: Callable[[], object]
    queries: tuple[int, int]
    against: str
    promise: str | None  #: none: only to be known
    kept: Callable[[Figures], bool]
    turns: int | None = None  #: at most so many, where one takes long


def seconds(clock: str, work: Callable[[], object]) -> float:
    """Return how long ``work`` takes."""
    _wait()
    start = CLOCKS[clock]()
    work()
    _wait()
    return CLOCKS[clock]() - start


def measure(race: Race, repetitions: int, clock: str) -> Figures:
    """Return queries a second of both sides, and the ratio of their times in each turn."""
    sides = {"ours": race.ours, "other": race.other}
    times: dict[str, list[float]] = {"ours": [], "other": []}
    for order in _turns(min(repetitions, race.turns or repetitions)):
        for side in order:
            times[side].append(seconds(clock, sides[side]))
    each = {
        side: [taken / count for taken in times[side][1:]]  # the first turn warms up
        for side, count in zip(sides, race.queries, strict=True)
    }
    ratios = [ours / other for ours, other in zip(each["ours"], each["other"], strict=True)]
    speeds = {side: [1 / taken for taken in values] for side, values in each.items()}
    found = {name: _summary(values) for name, values in (speeds | {"ratio": ratios}).items()}
    kept = race.kept(found) if race.promise else None
    return {"against": race.against, "promise": race.promise, "kept": kept, **found}


def _turns(repetitions: int) -> Iterator[list[str]]:
    """Yield both sides, one turn more than asked for, the other one first each time."""
    for turn in range(repetitions + 1):
        yield ["ours", "other"] if turn % 2 else ["other", "ours"]


def _summary(values: list[float]) -> Figures:
    return {"median": median(values), "min": min(values), "max": max(values), "all": values}


def _wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def _machine(device: str) -> Figures:
    cuda = torch.device(device).type == "cuda"
    return {
        "device": torch.cuda.get_device_name(device) if cuda else platform.machine(),
        "threads": torch.get_num_threads(),
        "load": os.getloadavg()[0],
        "versions": {name: version(name) for name in ("ringfence", "torch", "numpy", "scipy")}
        | {"python": platform.python_version()},
    }


def _line(name: str, found: Figures) -> str:
    ratio, ours, other = found["ratio"], found["ours"]["median"], found["other"]["median"]
    told = f"; {found['promise']}: {'yes' if found['kept'] else 'NO'}" if found["promise"] else ""
    return (
        f"{name:13} {ours:,.0f} queries/s, {found['against']} {other:,.0f}; time over its time "
        f"{ratio['median']:.4f} ({ratio['min']:.4f} to {ratio['max']:.4f}){told}"
    )


def main(told: str, stage: Callable[[str], T], races: Mapping[str, Callable[[T], Race]]) -> None:
    """Print one line per race, and write everything measured to ``--out``.

    ``told``: what ``--help`` says. Each race is prepared on a new ``stage`` of the device.
    """
    parser = argparse.ArgumentParser(description=told.partition("\n")[0])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--clock", choices=CLOCKS, default="wall")
    parser.add_argument("--repetitions", type=int, default=50)
    parser.add_argument("--race", choices=races)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    how = {"clock": options.clock, "repetitions": options.repetitions}
    result = _machine(options.device) | how | {"races": {}}
    for name, prepare in races.items():
        if options.race not in (None, name):
            continue
        try:
            race = prepare(stage(options.device))
        except RingfenceError as error:  # not installed
            print(f"{name:13} skipped: {error}", flush=True)
            continue
        result["races"][name] = found = measure(race, options.repetitions, options.clock)
        print(_line(name, found), flush=True)
    if options.out:
        options.out.write_text(json.dumps(result, indent=1) + "\n")
