"""The contract of executors."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from attrs import evolve

from ringfence.errors import RingfenceError
from ringfence.jobs import Ended, Job, Resources
from ringfence.protocols import Executor
from ringfence.testing.promises import keeping, promise

#: a run of a second or two: digits, a small model hardly trained, few queries
QUICK: dict[str, Any] = {
    "dataset": "digits",
    "attack": "knockoffnet",
    "budget": 10,
    "benign_clients": 0,
    "options": {"training": {"epochs": 1}, "knockoffnet": {"epochs": 1}},
}
NEVER = {**QUICK, "dataset": "nosuch"}  #: a run that fails
TOO_MUCH = (Resources(gpus=1e6), Resources(memory=1e9))  #: a million GPUs, an exbibyte


def check_executor(plugin: Any, folder: Path, patience: float = 120.0) -> None:
    """Every job ends once and is told; a failed one costs no other; a cancelled one is silent.

    ``folder`` is an empty one; ``patience`` are the seconds until a job is given up for lost.
    """
    executor: Executor = evolve(plugin)
    try:
        _check_refusal(executor, folder)
        _check_ends(executor, folder, patience)
        _check_cancel(executor, folder, patience)
        executor.submit(_job("closed", folder))
    finally:
        executor.close()
    promise("executor-close", executor.poll(0) == [], "close() ends what runs, and says nothing")
    with keeping("executor-close", "close() may be called again"):
        executor.close()


def _check_refusal(executor: Executor, folder: Path) -> None:
    """What can never be placed must not wait for ever."""
    for need in TOO_MUCH:
        with suppress(RingfenceError):
            executor.submit(_job("refused", folder, resources=need))
            promise("executor-refusal", False, f"submit() must raise a RingfenceError for {need}")


def _check_ends(executor: Executor, folder: Path, patience: float) -> None:
    begun = time.monotonic()
    promise("executor-patience", executor.poll(0) == [], "nothing has ended yet")
    promise("executor-patience", time.monotonic() - begun < 5, "poll(0) returns at once")
    executor.submit(_job("good", folder))
    executor.submit(_job("bad", folder, NEVER))
    ended = {one.id: one for one in _wait(executor, {"good", "bad"}, patience)}
    good, bad = ended["good"], ended["bad"]
    result = folder / "good" / "result.json"
    told = f"a run that ends well is finished and leaves {result.name}, not {good}"
    promise("executor-ends", good.status == "finished" and result.is_file(), told)
    told = f"a run that fails is failed, with the reason, not {bad}"
    promise("executor-failure", bad.status == "failed" and "nosuch" in bad.message, told)


def _check_cancel(executor: Executor, folder: Path, patience: float) -> None:
    executor.submit(_job("cancelled", folder))
    executor.submit(_job("neighbour", folder, NEVER))
    executor.cancel("cancelled")
    ended = [one.id for one in _wait(executor, {"neighbour"}, patience)]
    ended += [one.id for one in executor.poll(0.5)]
    told = f"a cancelled job is not reported, its neighbour is: {ended}"
    promise("executor-cancel", ended == ["neighbour"], told)


def _wait(executor: Executor, wanted: set[str], patience: float) -> Sequence[Ended]:
    """Return what ended, once all that is wanted has."""
    ended: list[Ended] = []
    until = time.monotonic() + patience
    while not wanted <= {one.id for one in ended} and time.monotonic() < until:
        ended += executor.poll(1.0)
    names = sorted(one.id for one in ended)
    told = f"each job is reported once, and in time: {names}, not {sorted(wanted)}"
    promise("executor-ends", wanted <= set(names) and len(set(names)) == len(names), told)
    return ended


def _job(
    name: str, folder: Path, named: dict[str, Any] = QUICK, resources: Resources | None = None
) -> Job:
    return Job(name, named, folder / name, resources or Resources())
