"""A guard in a process of its own, and wrk that asks it: what the scripts beside this one share.

wrk is Debian's (apt install wrk).
"""

from __future__ import annotations

import base64
import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import torch
from attrs import frozen
from ringfence_serve import keys, schema
from ringfence_serve.direct import perform
from ringfence_serve.operations import Order
from ringfence_serve.server import url_of
from ringfence_serve.store import SqlStore

BODIES = 4000  #: different images that are asked
SCRIPT = """
local keys = {{{keys}}}
local bodies = {{}}
for line in io.lines("{bodies}") do bodies[#bodies + 1] = line end
local turn, thread = 0
function setup(one) thread = one end
function request()
  turn = turn + 1
  return wrk.format("POST", "/v1/predict",
    {{["Authorization"] = "Bearer " .. keys[turn % #keys + 1],
      ["Content-Type"] = "application/json"}}, bodies[turn % #bodies + 1])
end
"""
#: counts other statuses, and refusals that do not say when to come back; costs wrk some speed
COUNT = """
busy, silent, other = 0, 0, 0
function response(status, headers, body)
  if status == 503 then
    busy = busy + 1
    if not (headers["retry-after"] or headers["Retry-After"]) then silent = silent + 1 end
  elseif status ~= 200 then other = other + 1 end
end
function done()
  io.write(string.format("busy %d silent %d other %d\\n",
    thread:get("busy"), thread:get("silent"), thread:get("other")))
end
"""


@frozen
class Guard:
    """A guard that is running."""

    url: str
    process: psutil.Process
    keys: list[str]
    bodies: Path

    def ask(self, connections: int, seconds: int, *, count: bool = False) -> dict[str, Any]:
        """Return what wrk says of so many connections, each a client of its own."""
        script = self.bodies.with_suffix(".lua")
        quoted = ", ".join(f'"{text}"' for text in self.keys[:connections])
        text = SCRIPT.format(keys=quoted, bodies=self.bodies)
        script.write_text(text + COUNT if count else text)
        before = sum(self.process.cpu_times()[:2])
        seen = _wrk(self.url, script, connections, seconds)
        spent = sum(self.process.cpu_times()[:2]) - before
        seen["server_cpu_us_per_request"] = round(spent * 1e6 / max(1, seen["requests"]))
        seen["rss_mib"] = self.process.memory_info().rss >> 20
        return seen


@contextmanager
def guard(run: Path, state: Path, clients: int, known: int = 0, *flags: str) -> Iterator[Guard]:
    """Yield a guard of the finished run in ``run``, on one thread of PyTorch."""
    names = [f"c{n}" for n in range(clients)]
    texts = [perform(state, None, Order(action="add", name=name))["key"] for name in names]
    _add_known(state, known)
    serve = [sys.executable, "-m", "ringfence", "serve", str(run), "--state", str(state)]
    serve += ["--port", "0", "--threads", "1", *flags]
    with subprocess.Popen(serve, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout
        try:
            url = server.stdout.readline().split()[-1]
            yield Guard(url, psutil.Process(server.pid), texts, _bodies(state))
        finally:
            server.terminate()


def _bodies(state: Path) -> Path:
    file, random = state / "bodies", torch.Generator().manual_seed(0)
    with file.open("w") as lines:
        for one in torch.rand(BODIES, 1, 28, 28, generator=random):
            text = base64.b64encode(one.numpy().tobytes()).decode()
            lines.write(json.dumps({"pixels": [text]}) + "\n")
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
    counted = re.search(r"busy (\d+) silent (\d+) other (\d+)", told)
    assert count
    assert rate
    kinds = ("busy", "silent", "other")
    others = dict(zip(kinds, map(int, counted.groups()), strict=True)) if counted else {}
    return others | {
        "requests": int(count[1]),
        "requests_per_second": float(rate[1]),
        "times": dict(re.findall(r"(50|75|90|99)%\s+([0-9.]+[mu]?s)", told)),
        "not_200": int(bad[1]) if bad else 0,
        "socket_errors": lost[1] if lost else "none",
    }
