"""What Ray costs beside ``local``: 24 runs of a second, by either in turn, two at a time.

    python contrib/ringfence-ray/benchmarks/overhead.py --repeats 3

on a machine that does little else. Prints JSON. ``seconds`` are those from the beginning of a
sweep's first run to its last result; ``startup`` are those before.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

SPEC = """[run]
dataset = "digits"
attack = "knockoffnet"
budget = 10
benign-clients = 0
threads = 1
[options.training]
epochs = 1
[options.knockoffnet]
epochs = 1
[grid]
seed = {seeds}
"""
EXECUTORS = ("local", "ray")


def main() -> None:
    """Measure, and print what was seen."""
    told = argparse.ArgumentParser(description=__doc__)
    told.add_argument("--repeats", type=int, default=3)
    told.add_argument("--runs", type=int, default=24)
    given = told.parse_args()
    sweeps = [
        {"executor": name, **swept(name, given.runs)}
        for _ in range(given.repeats)
        for name in EXECUTORS
    ]
    seconds = {
        name: median(one["seconds"] for one in sweeps if one["executor"] == name)
        for name in EXECUTORS
    }
    found = {
        "command": " ".join(["overhead.py", *sys.argv[1:]]),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "median_seconds": seconds,
        "ratio": seconds["ray"] / seconds["local"],
        "sweeps": sweeps,
    }
    print(json.dumps(found, indent=2))


def swept(executor: str, runs: int) -> dict[str, float]:
    """Sweep once, with an empty cache; return what it took, and the load before and after."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "sweep.toml").write_text(SPEC.format(seeds=[*range(runs)]))
        command = [sys.executable, "-m", "ringfence", "sweep", str(folder / "sweep.toml")]
        command += ["--out", str(folder / "out"), "--executor", executor, "--jobs", "2", "--json"]
        before, started = os.getloadavg()[0], time.time()
        environment = {**os.environ, "RINGFENCE_CACHE": str(folder / "cache")}
        done = subprocess.run(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True
        )
        assert len(json.loads(done.stdout)["finished"]) == runs
        begun = min(one.stat().st_mtime for one in folder.glob("out/*/log.txt"))  # nothing is said
        ended = max(one.stat().st_mtime for one in folder.glob("out/*/result.json"))
    told = {"startup": begun - started, "seconds": ended - begun}
    return {**told, "load_before": before, "load_after": os.getloadavg()[0]}


if __name__ == "__main__":
    main()
