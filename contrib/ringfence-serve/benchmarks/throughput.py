"""Requests a second and their times, at 1 and at 32 clients, with a commit before each reply (G13).

    python contrib/ringfence-serve/benchmarks/throughput.py runs/first --seconds 600 --known 100000

needs wrk (Debian: apt install wrk), and a machine that does nothing else. Prints JSON.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import load
import psutil


def main() -> None:
    """Measure, and print what was seen."""
    told = argparse.ArgumentParser(description=__doc__)
    told.add_argument("run", type=Path)
    told.add_argument("--seconds", type=int, default=30)
    told.add_argument("--clients", type=int, nargs="+", default=[1, 32])
    told.add_argument("--known", type=int, default=0, help="clients that only exist")
    told.add_argument("--thieves", action="store_true", help="all clients send noise")
    told.add_argument("--every", type=int, default=0, help="seconds between looks at its memory")
    given = told.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(measured(given, Path(folder)), indent=2))


def measured(given: argparse.Namespace, state: Path) -> dict[str, Any]:
    """Start a guard, let wrk ask it, and return the figures."""
    found: dict[str, Any] = {"command": " ".join(sys.argv[1:]), "cores": psutil.cpu_count()}
    told = (given.run, state, max(given.clients), given.known)
    with load.guard(*told, thieves=given.thieves) as guard:
        found["rss_mib_at_start"] = guard.process.memory_info().rss >> 20
        for clients in given.clients:
            found[f"{clients} clients"] = guard.ask(clients, given.seconds, every=given.every)
    found["database_mib"] = sum(f.stat().st_size for f in state.glob("guard.db*")) >> 20
    return found | {"load": psutil.getloadavg()}


if __name__ == "__main__":
    main()
