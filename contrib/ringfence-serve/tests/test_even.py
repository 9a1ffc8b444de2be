"""How much the time of a reply says."""

from __future__ import annotations

import asyncio
import time

from guards import body, headers, images
from ringfence_serve.even import Even

PREDICT = "/v1/predict"


def test_replies_leave_after_whole_multiples_of_a_time(guard):
    """Who asks learns from the time only how many multiples an answer took."""
    client = guard(even=150)
    took = []
    for one in range(3):
        begun = time.perf_counter()
        some = body(images(1, seed=one))
        assert client.post(PREDICT, content=some, headers=headers(client.key)).status_code == 200
        took.append(time.perf_counter() - begun)

    assert min(took) >= 0.15
    assert sorted(took)[1] < 0.25


def test_what_fails_is_told_at_once(guard):
    client = guard(even=1000)
    begun = time.perf_counter()
    assert client.post(PREDICT, content=body(images(1))).status_code == 401
    assert time.perf_counter() - begun < 0.9


def test_the_time_counts_from_when_the_request_had_arrived():
    since = time.perf_counter() - 0.07
    asyncio.run(Even(0.05).wait(since))

    assert 0.1 <= time.perf_counter() - since < 0.15


def test_without_a_time_nobody_waits():
    begun = time.perf_counter()
    asyncio.run(Even().wait(begun))

    assert time.perf_counter() - begun < 0.05
