"""Collects requests while the thread is busy, and hands it all of them at once: no timer.

A lone client never waits; under load batches grow by themselves. The queue is bounded: who
finds it full is told to come back.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from attrs import define, field

from ringfence_serve.asks import Ask, Reply
from ringfence_serve.engine import Engine

T = TypeVar("T")


class Full(Exception):
    """The queue holds as many images as it may."""


@define(eq=False)
class Batcher:
    """The only way to the engine and its store: one thread."""

    engine: Engine
    bound: int = 1024  #: images that may wait
    most: int = 256  #: images of one batch
    sizes: Callable[[int], None] = lambda _: None  #: told of each batch's images
    waiting: int = field(default=0, init=False)  #: images in the queue
    _queue: deque[tuple[Ask, asyncio.Future[Reply]]] = field(factory=deque, init=False)
    _news: asyncio.Event = field(factory=asyncio.Event, init=False)
    _thread: ThreadPoolExecutor = field(init=False)

    @_thread.default
    def _make_thread(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(1, "guard")

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
        return await asyncio.get_running_loop().run_in_executor(self._thread, job, *arguments)

    async def run(self) -> None:
        """Serve until cancelled."""
        while True:
            await self._news.wait()
            while taken := self._take():
                await self._serve(taken)
            self._news.clear()

    def close(self) -> None:
        """End the thread, when what it does is done."""
        for _, future in self._queue:
            future.cancel()
        self._thread.shutdown()

    def _take(self) -> list[tuple[Ask, asyncio.Future[Reply]]]:
        """Return waiting requests whose clients still wait, up to the size of a batch."""
        taken: list[tuple[Ask, asyncio.Future[Reply]]] = []
        images = 0
        while self._queue and (not taken or images + self._queue[0][0].size <= self.most):
            ask, future = self._queue.popleft()
            self.waiting -= ask.size
            if not future.done():
                taken.append((ask, future))
                images += ask.size
        if taken:
            self.sizes(images)
        return taken

    async def _serve(self, taken: list[tuple[Ask, asyncio.Future[Reply]]]) -> None:
        replies = await self.call(self.engine.answer, [ask for ask, _ in taken])
        for (_, future), reply in zip(taken, replies, strict=True):
            if future.done():  # its client went away meanwhile
                continue
            if isinstance(reply, Exception):
                future.set_exception(reply)
            else:
                future.set_result(reply)
