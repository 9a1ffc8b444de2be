"""A guard in a process of its own, and wrk that asks it: what the scripts beside this one share.

wrk is Debian's (apt install wrk).
"""

from __future__ import annotations

import base64
import json
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import torch
from attrs import frozen
from ringfence_serve import guarded, keys, schema
from ringfence_serve.direct import perform
from ringfence_serve.operations import Order
from ringfence_serve.settings import url_of
from ringfence_serve.store import SqlStore

from ringfence.images import as_float
from ringfence.memorystore import MemoryStore

IMAGES = 4000  #: different images that are asked; each time with another first pixel
BEGIN, END = '{"pixels": ["', '"]}'
#: A request is three strings put together, so that wrk costs the server next to nothing. The
#: first four letters of an image are the low bits of its first pixel: none of four million images
#: comes twice. The third stays a multiple of four, for its last bits are of the exponent.
SCRIPT = """
local heads = {{{heads}}}
local rests = {{}}
for line in io.lines("{images}") do rests[#rests + 1] = line .. '{end}' end
local letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
local turn, thread = 0
local function letter(every, count, step)
  local one = math.floor(turn / every) % count * step + 1
  return letters:sub(one, one)
end
function setup(one) thread = one end
function request()
  turn = turn + 1
  return heads[turn % #heads + 1] .. letter(1, 64, 1) .. letter(64, 64, 1)
    .. letter(4096, 16, 4) .. letter(65536, 64, 1) .. rests[turn % #rests + 1]
end
"""


@frozen
class Guard:
    """A guard that is running."""

    url: str
    process: psutil.Process
    keys: list[str]
    images: Path  #: base64, one a line, without their first four letters

    @property
    def example(self) -> bytes:
        """A request's body."""
        with self.images.open() as lines:
            return f"{BEGIN}AAAA{lines.readline().strip()}{END}".encode()

    def request(self, key: str) -> bytes:
        """Return a whole request of the client that has ``key``."""
        return self._head(key).encode() + self.example[len(BEGIN) :]

    def ask(self, connections: int, seconds: int, *, every: int = 0) -> dict[str, Any]:
        """Return what wrk says of so many connections, as many clients taking turns.

        ``every``: seconds between two looks at the guard's memory; none if 0.
        """
        script = self.images.with_suffix(".lua")
        heads = ", ".join(json.dumps(self._head(key)) for key in self.keys[:connections])
        script.write_text(SCRIPT.format(heads=heads, images=self.images, end=END))
        before = sum(self.process.cpu_times()[:2])
        with self._watched(every) as sizes:
            seen = _wrk(self.url, script, connections, seconds)
        spent = sum(self.process.cpu_times()[:2]) - before
        seen["server_cpu_us_per_request"] = round(spent * 1e6 / max(1, seen["requests"]))
        seen["rss_mib"] = self.process.memory_info().rss >> 20
        return seen | ({"rss_mib_over_time": sizes} if every else {})

    @contextmanager
    def _watched(self, every: int) -> Iterator[list[int]]:
        """Yield a list that fills with the guard's memory in MiB, each so many seconds."""
        sizes: list[int] = []
        over = threading.Event()

        def look() -> None:
            while not over.wait(every):
                sizes.append(self.process.memory_info().rss >> 20)

        watcher = threading.Thread(target=look)
        if every:
            watcher.start()
        yield sizes
        over.set()
        if every:
            watcher.join()

    def _head(self, key: str) -> str:
        lines = ["POST /v1/predict HTTP/1.1", "Host: guard", f"Authorization: Bearer {key}"]
        lines += ["Content-Type: application/json", f"Content-Length: {len(self.example)}"]
        return "\r\n".join([*lines, "", BEGIN])


@contextmanager
def guard(
    run: Path, state: Path, clients: int, known: int = 0, *flags: str, thieves: bool = False
) -> Iterator[Guard]:
    """Yield a guard of the finished run in ``run``, on one thread of PyTorch.

    Its clients ask test images, as people do, or noise: then all of them are soon suspected.
    """
    names = [f"c{n}" for n in range(clients)]
    texts = [perform(state, None, Order(action="add", name=name))["key"] for name in names]
    _add_known(state, known)
    serve = [sys.executable, "-m", "ringfence", "serve", str(run), "--state", str(state)]
    serve += ["--port", "0", "--threads", "1", *flags]
    with subprocess.Popen(serve, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout
        try:
            url = server.stdout.readline().split()[-1]
            yield Guard(url, psutil.Process(server.pid), texts, _images(run, state, thieves))
        finally:
            server.terminate()


def _images(run: Path, state: Path, thieves: bool) -> Path:
    file, random = state / "images", torch.Generator().manual_seed(0)
    found = guarded.of_run(run, MemoryStore(), {}, {}).run
    some = torch.rand(IMAGES, *found.image_shape, generator=random)
    if not thieves:
        some = as_float(found.test.images)[torch.arange(IMAGES) % len(found.test)]
    with file.open("w") as lines:
        for one in some:
            lines.write(base64.b64encode(one.numpy().tobytes()).decode()[4:] + "\n")
    return file


def _add_known(state: Path, count: int) -> None:
    """Add clients that never ask."""
    if not count:
        return
    store, now = SqlStore(url_of(state)), time.time_ns() // 1000
    row = {"added": now, "trusted": False}
    rows = [
        {"name": f"k{n}", "key_id": f"{n:012}", "key_digest": keys.digest(str(n)), **row}
        for n in range(count)
    ]
    with store.batch(()):
        store.database.execute(schema.clients.insert(), rows)
    store.database.close()


def _wrk(url: str, script: Path, connections: int, seconds: int) -> dict[str, Any]:
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "-s", str(script)]
    told = subprocess.run([*command, url], capture_output=True, text=True, check=True).stdout
    count = re.search(r"(\d+) requests in", told)
    rate = re.search(r"Requests/sec:\s+([0-9.]+)", told)
    bad = re.search(r"Non-2xx or 3xx responses: (\d+)", told)
    lost = re.search(r"Socket errors: (.+)", told)
    assert count
    assert rate
    return {
        "requests": int(count[1]),
        "requests_per_second": float(rate[1]),
        "times": dict(re.findall(r"(50|75|90|99)%\s+([0-9.]+[mu]?s)", told)),
        "not_200": int(bad[1]) if bad else 0,
        "socket_errors": lost[1] if lost else "none",
    }
