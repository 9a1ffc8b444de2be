"""Many connections that ask at once, and how long each kind of reply took: wrk tells them together.

One process with one loop. A connection asks again as soon as it is answered, always the same.
"""

from __future__ import annotations

import selectors
import socket
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
from attrs import define, field

LENGTH, END, AGAIN = b"content-length: ", b"\r\n\r\n", b"retry-after: "
SHARES = (50, 90, 99, 100)


@define(eq=False)
class Connection:
    """One client: what it asks, and what has come of the reply."""

    socket: socket.socket
    request: bytes
    since: float = 0.0
    came: bytearray = field(factory=bytearray)

    def ask(self) -> None:
        """Send the request; it fits what a socket takes at once."""
        self.came.clear()
        self.since = time.perf_counter()
        if self.socket.send(self.request) != len(self.request):
            raise OSError("A request was sent in part.")

    def heard(self) -> bytes | None:
        """Return the headers of a whole reply in small letters; nothing while it is not whole."""
        more = self.socket.recv(65536)
        if not more:
            raise OSError("The guard closed a connection.")
        self.came += more
        headers, end, body = bytes(self.came).partition(END)
        if not end:
            return None
        told = headers.lower()
        size = int(told.partition(LENGTH)[2].split(b"\r\n", 1)[0])
        return told if len(body) >= size else None


def crowd(host: str, port: int, requests: Sequence[bytes], seconds: float) -> dict[str, Any]:
    """Return what was heard by as many connections as ``requests``, by the status of replies.

    ``silent``: refusals that do not say when to come back; ``own_cpu``: the share of a core that
    the asking itself took, for where it is near 1 the times are not the guard's.
    """
    times: dict[int, list[float]] = defaultdict(list)
    found: Counter[str] = Counter(silent=0, lost=0)
    begun, spent = time.perf_counter(), time.process_time()
    with _connected(host, port, requests) as waiting:
        while (now := time.perf_counter()) < begun + seconds and waiting.get_map():
            for key, _ in waiting.select(begun + seconds - now):
                _hear(key.data, waiting, times, found)
    took = time.perf_counter() - begun
    return {
        "connections": len(requests),
        "replies_per_second": round(sum(map(len, times.values())) / took),
        **found,
        "own_cpu": round((time.process_time() - spent) / took, 2),
        **{str(status): _shares(of_kind) for status, of_kind in sorted(times.items())},
    }


def _hear(
    one: Connection,
    waiting: selectors.BaseSelector,
    times: dict[int, list[float]],
    found: Counter[str],
) -> None:
    """Take what has come, and ask again where that was a whole reply."""
    try:
        if (headers := one.heard()) is None:
            return
        status = int(headers[9:12])
        times[status].append(time.perf_counter() - one.since)
        found["silent"] += status == 503 and AGAIN not in headers
        one.ask()
    except OSError:
        found["lost"] += 1
        waiting.unregister(one.socket)


@contextmanager
def _connected(host: str, port: int, requests: Sequence[bytes]) -> Iterator[selectors.BaseSelector]:
    """Yield the connections, each of which has asked."""
    with ExitStack() as open_, selectors.DefaultSelector() as waiting:
        for request in requests:
            made = open_.enter_context(socket.create_connection((host, port), timeout=20))
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            one = Connection(made, request)
            waiting.register(made, selectors.EVENT_READ, one)
            one.ask()
        yield waiting


def _shares(seconds: Sequence[float]) -> dict[str, float]:
    """Return how many there were, and their percentiles in milliseconds."""
    told = np.percentile(np.array(seconds) * 1e3, SHARES)
    shares = {f"p{share}_ms": round(float(ms), 1) for share, ms in zip(SHARES, told, strict=True)}
    return {"replies": len(seconds), **shares}
