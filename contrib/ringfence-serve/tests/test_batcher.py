"""Where batches are answered, and what they take in: short ones in the event loop, others not."""

from __future__ import annotations

import asyncio
import threading
import time

import torch
from ringfence_serve.asks import Ask
from ringfence_serve.batcher import SHORT, Batcher


class Answers:
    """An engine that notes which thread called it, and what was in each batch."""

    def __init__(self, seconds=0.0):
        self.seconds, self.threads, self.sizes, self.working = seconds, [], [], 0

    def answer(self, asks):
        self.working += 1
        assert self.working == 1, "two at once"
        self.threads.append(threading.current_thread())
        self.sizes.append(len(asks))
        time.sleep(self.seconds)
        self.working -= 1
        return [ask.images.numpy() for ask in asks]


def serve(engine, quick, job):
    """Return what ``job(batcher)`` returns beside a batcher at work."""

    async def both():
        batcher = Batcher(engine, quick=quick)
        runs = asyncio.ensure_future(batcher.run())
        try:
            return await job(batcher)
        finally:
            runs.cancel()
            batcher.close()

    return asyncio.run(both())


def one():
    return Ask("a", torch.zeros(1, 1, 2, 2))


def in_turn(count):
    async def job(batcher):
        for _ in range(count):
            await batcher.submit(one())

    return job


def test_short_batches_are_answered_in_the_loop_once_one_was_short():
    engine = Answers()
    serve(engine, True, in_turn(30))

    assert engine.threads[0] is not threading.main_thread()
    assert threading.main_thread() in engine.threads  # not each time, on a machine that is busy


def test_long_batches_and_those_that_may_hang_are_answered_in_a_thread():
    for engine, quick in ((Answers(2 * SHORT), True), (Answers(), False)):
        serve(engine, quick, in_turn(3))
        assert threading.main_thread() not in engine.threads


def test_a_batch_waits_for_a_job_in_the_thread():
    engine = Answers()

    async def job(batcher):
        await in_turn(2)(batcher)
        ended = []
        other = asyncio.ensure_future(batcher.call(lambda: ended.append(time.sleep(0.05))))
        await asyncio.sleep(0.01)
        await batcher.submit(one())
        assert ended, "the batch came while the job was at work"
        await other

    serve(engine, True, job)
    assert engine.threads[-1] is not threading.main_thread()


def test_what_can_be_received_at_once_is_one_batch():
    engine = Answers()

    async def late(batcher, turns):
        for _ in range(turns):  # as many turns of the loop until it has come
            await asyncio.sleep(0)
        await batcher.submit(one())

    async def job(batcher):
        await batcher.submit(one())
        await asyncio.gather(*(late(batcher, turns) for turns in range(8)))

    serve(engine, True, job)
    assert engine.sizes == [1, 8]
