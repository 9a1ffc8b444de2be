"""How much the time of a reply says."""

from __future__ import annotations

import asyncio
import time

import pytest
from guards import body, headers, images
from ringfence_serve import even
from ringfence_serve.even import Even

PREDICT = "/v1/predict"


@pytest.fixture
def moments(monkeypatch):
    """Return the moments until which replies are held back; nobody sleeps."""
    found = []
    monkeypatch.setattr(even, "_sleep", found.append)
    return found


def test_an_answer_is_held_back(guard):
    client = guard(even=150)
    begun = time.perf_counter()
    reply = client.post(PREDICT, content=body(images(1)), headers=headers(client.key))

    assert reply.status_code == 200
    assert time.perf_counter() - begun >= 0.15


def test_what_fails_is_told_at_once(guard, moments):
    assert guard(even=1000).post(PREDICT, content=body(images(1))).status_code == 401
    assert moments == []


def test_the_time_counts_from_when_the_request_had_arrived(moments):
    """By whole multiples: after one and a half of them, the second is waited for."""
    since = time.perf_counter() - 150
    asyncio.run(Even(100.0).wait(since))

    assert moments == [since + 200]


def test_without_a_time_nobody_waits(moments):
    asyncio.run(Even().wait(time.perf_counter() - 1))

    assert moments == []
