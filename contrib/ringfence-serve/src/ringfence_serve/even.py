"""Lets replies leave after whole multiples of a time, so that it says little of what was done.

Counted from when the request had arrived: by a clock's ticks, who chooses the moment of asking
would see which of two answers just missed one. The event loop's own timers are of no use here:
they round what is left to milliseconds, and with it tell how long the answer took.
"""

from __future__ import annotations

import asyncio
import math
import time
from concurrent.futures import ThreadPoolExecutor

from attrs import define, field

WAITING = 64  #: replies that wait at a time; more of them wait for one another


@define(eq=False)
class Even:
    """Holds replies back until the next multiple of ``seconds``; 0: not at all."""

    seconds: float = 0.0
    _threads: ThreadPoolExecutor = field(init=False)

    @_threads.default
    def _make_threads(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(WAITING, "even")  # none is started before one is needed

    async def wait(self, since: float) -> None:
        """Return a whole number of times after ``since``, a reading of ``time.perf_counter``."""
        if self.seconds:
            whole = math.floor((time.perf_counter() - since) / self.seconds) + 1
            moment = since + whole * self.seconds
            await asyncio.get_running_loop().run_in_executor(self._threads, _sleep, moment)


def _sleep(moment: float) -> None:
    while (left := moment - time.perf_counter()) > 0:
        time.sleep(left)
