"""Can a client tell by the time that its answer was changed (G9)?

    python contrib/ringfence-serve/benchmarks/timing.py runs/first --samples 100000

Asks one image at a time of two clients, one suspected and one not, in turn, and compares the
times of answers that were changed with those that were not by Welch's t, the slowest 5 percent
cut off. Below 4.5 nobody can tell (the bound of dudect). Needs no network. Prints JSON.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from ringfence_serve import guarded
from ringfence_serve.asks import Ask
from ringfence_serve.direct import perform
from ringfence_serve.engine import Engine
from ringfence_serve.operations import Order
from ringfence_serve.record import Record
from ringfence_serve.server import Settings, make_server, url_of
from ringfence_serve.store import SqlStore
from scipy.stats import ttest_ind


def main() -> None:
    """Measure, and print what was seen."""
    told = argparse.ArgumentParser(description=__doc__)
    told.add_argument("run", type=Path)
    told.add_argument("--samples", type=int, default=100_000)
    given = told.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        state = Path(folder)
        for name in ("odd", "even"):
            perform(state, None, Order(action="add", name=name))
        store = SqlStore(url_of(state))
        found = guarded.of_run(given.run, store, {}, {})
        engine = make_server(found, store, Settings(state=state)).batcher.engine
        print(json.dumps(compared(engine, found, given.samples), indent=2))
        store.database.close()


def compared(engine: Engine, found: guarded.Guarded, samples: int) -> dict[str, object]:
    """Return Welch's t for clients (suspected or not) and for answers (changed or not)."""
    random = torch.Generator().manual_seed(0)
    test = found.run.test.images.float() / 255
    seen = engine.service.listener
    assert isinstance(seen, Record)
    times: dict[str, list[float]] = {"suspected": [], "plain": [], "changed": [], "unchanged": []}
    for turn in range(samples):
        guilty = bool(turn % 2)
        place = int(torch.randint(len(test), (1,), generator=random))
        noise = torch.rand(1, *found.run.image_shape, generator=random)
        some = noise if guilty else (test[place][None] * 0.98 + noise * 0.02)
        begun = time.perf_counter()
        engine.answer([Ask("odd" if guilty else "even", some)])
        took = time.perf_counter() - begun
        assert seen.told
        _, honest, _, steps, _ = seen.told
        times["suspected" if guilty else "plain"].append(took)
        if guilty:
            changed = bool((list(steps.values())[-1] != honest).any())
            times["changed" if changed else "unchanged"].append(took)
    pairs = (("suspected", "plain"), ("changed", "unchanged"))
    return {"samples": samples} | {
        " against ".join(p): welch(*(times[n] for n in p)) for p in pairs
    }


def welch(one: list[float], other: list[float]) -> dict[str, float]:
    """Return t of the times below their common 95th percentile, and the means in microseconds."""
    bound = np.quantile([*one, *other], 0.95)
    cropped = [np.array(times)[np.array(times) <= bound] for times in (one, other)]
    t = ttest_ind(*cropped, equal_var=False).statistic
    return {"t": float(t), **{f"mean_us_{n}": float(c.mean() * 1e6) for n, c in enumerate(cropped)}}


if __name__ == "__main__":
    main()
