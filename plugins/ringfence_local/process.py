"""One run in a process of its own, which ends with the one that started it."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import time
from multiprocessing.connection import wait
from multiprocessing.context import ForkServerContext, SpawnContext
from multiprocessing.process import BaseProcess

from attrs import define, field

from ringfence.jobs import Ended, Job
from ringfence.worker import outcome
from ringfence_local.slots import Place

#: the first optimizer of a process imports torch._dynamo, which takes longer than torch
PRELOAD = ["torch", "torch._dynamo", "ringfence.worker"]


@define(eq=False)
class Running:
    """A job that has started."""

    job: Job
    place: Place
    process: BaseProcess = field(init=False)
    _since: float = field(factory=time.monotonic, init=False)

    def __attrs_post_init__(self) -> None:
        """Start it."""
        self.process = _context().Process(target=_main, args=(self.job, self.place.device))
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


def _context() -> ForkServerContext | SpawnContext:
    if sys.platform == "win32":
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOAD)
    return context


def _main(job: Job, device: str | None) -> None:
    """Do the job in this fresh process, and exit with its code."""
    from ringfence.worker import work

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the business of who started us
    threading.Thread(target=_die_with_parent, daemon=True).start()
    if device is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = device
    sys.exit(work(job))


def _die_with_parent() -> None:
    """A killed sweep must not leave runs behind that hold its folders."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os.kill(os.getpid(), signal.SIGKILL)
