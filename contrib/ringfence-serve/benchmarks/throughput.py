"""Requests a second and their times, at 1 and at 32 clients, with a commit before each reply (G13).

    python contrib/ringfence-serve/benchmarks/throughput.py runs/first --seconds 600 --known 100000

needs wrk (Debian: apt install wrk), and a machine that does nothing else. Prints JSON.
"""

from __future__ import annotations

import argparse
import base64
import json
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil
import torch
from ringfence_serve import keys, schema
from ringfence_serve.direct import perform
from ringfence_serve.operations import Order
from ringfence_serve.server import url_of
from ringfence_serve.store import SqlStore

BODIES = 4000
SCRIPT = """
local keys = {{{keys}}}
local bodies = {{}}
for line in io.lines("{bodies}") do bodies[#bodies + 1] = line end
local turn = 0
function request()
  turn = turn + 1
  return wrk.format("POST", "/v1/predict",
    {{["Authorization"] = "Bearer " .. keys[turn % #keys + 1],
      ["Content-Type"] = "application/json"}}, bodies[turn % #bodies + 1])
end
"""


def main() -> None:
    """Measure, and print what was seen."""
    told = argparse.ArgumentParser(description=__doc__)
    told.add_argument("run", type=Path)
    told.add_argument("--seconds", type=int, default=30)
    told.add_argument("--clients", type=int, nargs="+", default=[1, 32])
    told.add_argument("--known", type=int, default=0, help="clients that only exist")
    told.add_argument("--repeats", default="pipeline")
    told.add_argument("--images", type=int, default=BODIES, help="different ones")
    given = told.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(measured(given, Path(folder)), indent=2))


def measured(given: argparse.Namespace, state: Path) -> dict[str, Any]:
    """Start a guard, let wrk ask it, and return the figures."""
    names = [f"c{n}" for n in range(max(given.clients))]
    texts = [perform(state, None, Order(action="add", name=name))["key"] for name in names]
    known(state, given.known)
    bodies = state / "bodies"
    random = torch.Generator().manual_seed(0)
    with bodies.open("w") as file:
        for one in torch.rand(given.images, 1, 28, 28, generator=random):
            file.write(
                json.dumps({"pixels": [base64.b64encode(one.numpy().tobytes()).decode()]}) + "\n"
            )
    serve = [sys.executable, "-m", "ringfence", "serve", str(given.run), "--state", str(state)]
    serve += ["--port", "0", "--repeats", given.repeats, "--threads", "1"]
    found: dict[str, Any] = {"command": " ".join(sys.argv[1:]), "cores": psutil.cpu_count()}
    with subprocess.Popen(serve, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout
        try:
            url = server.stdout.readline().split()[-1]
            process = psutil.Process(server.pid)
            found["rss_mib_at_start"] = process.memory_info().rss >> 20
            for clients in given.clients:
                script = state / "post.lua"
                quoted = ", ".join(f'"{text}"' for text in texts[:clients])
                script.write_text(SCRIPT.format(keys=quoted, bodies=bodies))
                before = sum(process.cpu_times()[:2])
                seen = wrk(url, script, clients, given.seconds)
                spent = sum(process.cpu_times()[:2]) - before
                seen["server_cpu_us_per_request"] = spent * 1e6 / max(1, seen["requests"])
                found[f"{clients} clients"] = seen
                found[f"rss_mib_after_{clients}"] = process.memory_info().rss >> 20
        finally:
            server.terminate()
    found["database_mib"] = sum(f.stat().st_size for f in state.glob("guard.db*")) >> 20
    found["load"] = psutil.getloadavg()
    return found


def known(state: Path, count: int) -> None:
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
        store.database.connection().execute(schema.clients.insert(), rows)
    store.database.close()


def wrk(url: str, script: Path, clients: int, seconds: int) -> dict[str, Any]:
    """Return what wrk says."""
    command = ["wrk", "-t1", f"-c{clients}", f"-d{seconds}s", "--latency", "-s", str(script), url]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    count = re.search(r"(\d+) requests in", told)
    rate = re.search(r"Requests/sec:\s+([0-9.]+)", told)
    bad = re.search(r"Non-2xx or 3xx responses: (\d+)", told)
    times = dict(re.findall(r"(50|75|90|99)%\s+([0-9.]+[mu]?s)", told))
    assert rate
    assert count
    return {
        "requests": int(count[1]),
        "requests_per_second": float(rate[1]),
        "times": times,
        "not_200": int(bad[1]) if bad else 0,
    }


if __name__ == "__main__":
    main()
