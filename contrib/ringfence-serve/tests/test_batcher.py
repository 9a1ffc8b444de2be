"""Where batches are answered, and what they take in: short ones in the event loop, others not."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest
import torch
from ringfence_serve import batcher
from ringfence_serve.asks import Ask
from ringfence_serve.batcher import SHORT, Batcher, Full


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


@pytest.mark.parametrize(
    ("whole", "all_threads", "own", "wanted"),
    [(0.060, 0.055, 0.010, 0.015), (0.060, 0.010, 0.010, 0.060), (0.010, 0.018, 0.010, 0.010)],
    ids=["the loop had most of it", "it waited for the disk", "beside one another"],
)
def test_a_batch_is_not_long_because_the_loop_is_busy(monkeypatch, whole, all_threads, own, wanted):
    for clock, took in (
        ("perf_counter", whole),
        ("process_time", all_threads),
        ("thread_time", own),
    ):
        monkeypatch.setattr(batcher.time, clock, iter([5.0, 5.0 + took]).__next__)

    _, seconds = batcher._timed(list, [])

    assert seconds == pytest.approx(wanted)


def test_a_full_queue_is_answered_at_once():
    engine = Answers()

    async def insist(batcher):
        for _ in range(20):  # who is refused comes again in the next turn
            try:
                return await batcher.submit(one())
            except Full:
                await asyncio.sleep(0)
        raise AssertionError("refused 20 times")

    async def job(batcher):
        await batcher.submit(one())
        batcher.bound = 2
        await asyncio.gather(*(insist(batcher) for _ in range(6)))

    serve(engine, True, job)
    assert engine.sizes == [1, 2, 2, 2]
