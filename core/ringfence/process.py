"""One job in a process of its own, which ends with the one that started it.

Processes come from a forkserver that has imported torch once; nothing was computed in it, so
that neither threads nor a CUDA context are inherited, and a start takes milliseconds.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from multiprocessing import forkserver
from multiprocessing.connection import wait
from multiprocessing.context import ForkServerContext, SpawnContext
from multiprocessing.process import BaseProcess
from types import ModuleType

from attrs import define, field

from ringfence.jobs import Ended, Job
from ringfence.worker import outcome

#: the first optimizer of a process imports torch._dynamo, which takes longer than torch
PRELOAD = ["torch", "torch._dynamo", "ringfence.launch", "ringfence.worker"]


@define(eq=False)
class Running:
    """A job that has started."""

    job: Job
    environment: Mapping[str, str] = field(factory=dict)  #: what its process finds changed
    patience: float = 0.0  #: seconds that another holder of the job's folder has to end
    process: BaseProcess = field(init=False)
    _since: float = field(factory=time.monotonic, init=False)

    def __attrs_post_init__(self) -> None:
        """Start it."""
        given = (self.job, dict(self.environment), self.patience)
        self.process = _context().Process(target=_main, args=given)
        with _without_main():
            self.process.start()

    def ended(self) -> Ended | None:
        """Return how it ended, or nothing while it runs; end it when its time is over."""
        if not self.process.is_alive():
            self.process.join()
            return outcome(self.job, self.process.exitcode)
        if self.left() > 0:
            return None
        self.kill()
        limit = self.job.resources.timeout
        return Ended(self.job.id, "timeout", f"given up after {limit:g} seconds")

    def left(self) -> float:
        """Return the seconds until the job is given up."""
        limit = self.job.resources.timeout
        return float("inf") if limit is None else self._since + limit - time.monotonic()

    def kill(self) -> None:
        """End it at once."""
        self.process.kill()
        self.process.join()


def prepare() -> None:
    """Start what processes come from; they ignore the signals that are ignored now."""
    if sys.platform != "win32":
        _context()
        forkserver.ensure_running()


def finish(running: Running) -> Ended:
    """Wait for one job, and return how it ended; whatever ends the waiting ends the job."""
    try:
        while (ended := running.ended()) is None:
            left = running.left()
            wait([running.process.sentinel], None if left == float("inf") else left)
        return ended
    finally:
        running.kill()


def _context() -> ForkServerContext | SpawnContext:
    if sys.platform == "win32":
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOAD)
    return context


@contextmanager
def _without_main() -> Iterator[None]:
    """Hide the script that runs here: a child would import it, and all that it imports, anew."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


def _main(job: Job, environment: dict[str, str], patience: float) -> None:
    """Do the job in this fresh process, and exit with its code."""
    from ringfence.worker import work

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the business of who started us
    threading.Thread(target=_die_with_parent, daemon=True).start()
    os.environ.update(environment)
    sys.exit(work(job, patience))


def _die_with_parent() -> None:
    """A killed sweep must not leave runs behind that hold its folders."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os.kill(os.getpid(), signal.SIGKILL)
