"""Collects requests while the engine is busy, and hands it all of them at once: no timer.

A lone client never waits; under load batches grow by themselves. The queue is bounded: who
finds it full is told to come back. The engine works in a thread, or, where its batches are
short, in the event loop itself: to change threads twice takes a fifth of a short answer's time.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

from attrs import define, field

from ringfence_serve.asks import Ask, Reply
from ringfence_serve.engine import Engine

T = TypeVar("T")
Waiting = tuple[Ask, asyncio.Future[Reply]]
SHORT = 0.03  #: seconds for which nothing else may be received while a batch is answered


class Full(Exception):
    """The queue holds as many images as it may."""


@define(eq=False)
class Batcher:
    """The only way to the engine and its store: one job at a time."""

    engine: Engine
    bound: int = 1024  #: images that may wait
    most: int = 256  #: images of one batch
    sizes: Callable[[int], None] = lambda _: None  #: told of each batch's images
    quick: bool = False  #: short batches are answered in the event loop
    waiting: int = field(default=0, init=False)  #: images in the queue
    _queue: deque[Waiting] = field(factory=deque, init=False)
    _news: asyncio.Event = field(factory=asyncio.Event, init=False)
    _thread: ThreadPoolExecutor = field(init=False)
    _job: Future[Any] | None = field(default=None, init=False)  #: the last one of the thread
    _pace: float = field(default=SHORT, init=False)  #: seconds an image of the last batch took

    @_thread.default
    def _make_thread(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(1, "guard")

    @property
    def full(self) -> bool:
        """Whether not even one image may wait."""
        return self.waiting >= self.bound

    async def submit(self, ask: Ask) -> Reply:
        """Return the reply once it is committed; raise :class:`Full` instead of waiting long."""
        if self.waiting + ask.size > self.bound:
            raise Full
        future: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._queue.append((ask, future))
        self.waiting += ask.size
        self._news.set()
        return await future

    async def call(self, job: Callable[..., T], *arguments: Any) -> T:
        """Do something else with the store, between two batches."""
        self._job = done = self._thread.submit(job, *arguments)
        return await asyncio.wrap_future(done)

    async def run(self) -> None:
        """Serve until cancelled."""
        while True:
            await self._news.wait()
            while self._queue:
                await self._collect()
                await self._serve(self._take())
                await asyncio.sleep(0)  # lets the replies go, and more requests come
            self._news.clear()

    async def _collect(self) -> None:
        """Let the loop receive what is there already: whoever was answered asks at once again."""
        before, enough = 0, min(self.most, self.bound)
        while before < self.waiting < enough:
            before = self.waiting
            await asyncio.sleep(0)

    def close(self) -> None:
        """End the thread, when what it does is done."""
        for _, future in self._queue:
            future.cancel()
        self._thread.shutdown()

    def _take(self) -> list[Waiting]:
        """Return waiting requests whose clients still wait, up to the size of a batch."""
        taken: list[Waiting] = []
        images = 0
        while self._queue and (not taken or images + self._queue[0][0].size <= self.most):
            ask, future = self._queue.popleft()
            self.waiting -= ask.size
            if not future.done():
                taken.append((ask, future))
                images += ask.size
        return taken

    async def _serve(self, taken: list[Waiting]) -> None:
        if not taken:  # all of them went away
            return
        asks = [ask for ask, _ in taken]
        replies = await self._answer(asks)
        for (_, future), reply in zip(taken, replies, strict=True):
            if future.done():  # its client went away meanwhile
                continue
            if isinstance(reply, Exception):
                future.set_exception(reply)
            else:
                future.set_result(reply)

    async def _answer(self, asks: list[Ask]) -> list[Reply | Exception]:
        """Let the engine answer, here or in the thread; note how long it was at it."""
        images = sum(ask.size for ask in asks)
        self.sizes(images)
        idle = self._job is None or self._job.done()
        if self.quick and idle and self._pace * images < SHORT:
            begun = time.perf_counter()
            replies = self.engine.answer(asks)
            took = time.perf_counter() - begun
        else:
            replies, took = await self.call(_timed, self.engine.answer, asks)
        self._pace = took / images
        return replies


def _timed(answer: Callable[[list[Ask]], T], asks: list[Ask]) -> tuple[T, float]:
    """Return what is answered in a thread, and the seconds it would take in the loop.

    What the loop computes meanwhile does not count: the two share one interpreter, and else a
    loop that is busy with refusing would find every batch long for as long as it is.
    """
    clocks = (time.perf_counter, time.process_time, time.thread_time)
    begun = [clock() for clock in clocks]
    answered = answer(asks)
    whole, all_threads, own = (clock() - then for clock, then in zip(clocks, begun, strict=True))
    return answered, max(own, whole - (all_threads - own))
