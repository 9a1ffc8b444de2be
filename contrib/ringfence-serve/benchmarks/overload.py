"""Too many clients (G7), and clients that send half a request (G8).

    python contrib/ringfence-serve/benchmarks/overload.py runs/first --seconds 30

A guard with a short queue is asked by 128 to 512 connections at once: how long answers and
refusals take, and how long the next request. Then one client asks while 500 connections are open
over which only a part of a request came; this needs wrk. Prints JSON.
"""

from __future__ import annotations

import argparse
import json
import socket
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import load
import psutil
import urllib3
from crowd import crowd

HALF = "POST /v1/predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"


def main() -> None:
    """Measure, and print what was seen."""
    told = argparse.ArgumentParser(description=__doc__)
    told.add_argument("run", type=Path)
    told.add_argument("--seconds", type=int, default=10)
    told.add_argument("--connections", type=int, nargs="+", default=[128, 256, 512])
    told.add_argument("--queue", default="64", help="images that may wait")
    given = told.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        flags = ("--queue", given.queue, "--repeats", "pipeline")
        clients = max(given.connections)
        with load.guard(given.run, Path(folder), clients, 0, *flags) as guard:
            found = {f"{n} connections": shed(guard, n, given.seconds) for n in given.connections}
            found["half-open"] = stalled(guard, given.seconds)
    print(json.dumps(found | {"load": psutil.getloadavg()}, indent=2))


def shed(guard: load.Guard, connections: int, seconds: int) -> dict[str, Any]:
    """Return what many connections see, and how long one request takes right afterwards."""
    host, port = guard.url.removeprefix("http://").split(":")
    requests = [guard.request(key) for key in guard.keys[:connections]]
    seen = crowd(host, int(port), requests, seconds)
    begun = time.monotonic()
    http = urllib3.PoolManager(retries=False)
    headers = {"Authorization": f"Bearer {guard.keys[0]}", "Content-Type": "application/json"}
    url = f"{guard.url}/v1/predict"
    status = http.request("POST", url, body=guard.example, headers=headers).status
    return {**seen, "next": {"status": status, "seconds": time.monotonic() - begun}}


def stalled(guard: load.Guard, seconds: int, count: int = 500) -> dict[str, Any]:
    """Return what one client sees alone, and beside ``count`` connections that are kept open."""
    alone = guard.ask(1, seconds)
    host, port = guard.url.removeprefix("http://").split(":")
    with ExitStack() as open_:
        for _ in range(count):  # headers that never end: no deadline ends these
            one = open_.enter_context(socket.create_connection((host, int(port)), timeout=20))
            one.sendall(HALF.encode())
        return {"alone": alone, f"beside {count}": guard.ask(1, seconds)}


if __name__ == "__main__":
    main()
