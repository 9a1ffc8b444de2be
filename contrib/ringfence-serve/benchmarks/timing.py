"""Can a client tell by the time that its answer was changed (G9)?

    python contrib/ringfence-serve/benchmarks/timing.py runs/first --samples 100000 --state out/g9

Asks one image at a time of two clients, one suspected and one not, in random order, and compares
the times of answers that were changed with those that were not by Welch's t, the slowest 5 percent
cut off. Below 4.5 nobody can tell (the bound of dudect). The server is asked in its own process,
without a network. ``--even`` is that of ``ringfence serve``. Prints JSON.

With ``--state`` the guard and all times are kept: the same command goes on until there are so many
samples, after an interruption too. ``--seconds`` ends it earlier, between two samples.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import gc
import json
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import psutil
import torch
from attrs import frozen
from numpy.typing import NDArray
from ringfence_serve import guarded
from ringfence_serve.assembly import make_server
from ringfence_serve.direct import perform
from ringfence_serve.engine import Engine
from ringfence_serve.operations import Order
from ringfence_serve.predict import PREDICT
from ringfence_serve.record import Record
from ringfence_serve.settings import Settings, url_of
from ringfence_serve.store import SqlStore
from scipy.stats import ttest_ind
from starlette.types import ASGIApp

WARM = 500  #: samples of each start that are not counted
BLOCK = 1000  #: samples until they are written
PLAIN, UNCHANGED, CHANGED = range(3)  #: the second and third are the suspected client's


def main() -> None:
    """Measure, and print what was seen."""
    told = argparse.ArgumentParser(description=__doc__)
    told.add_argument("run", type=Path)
    told.add_argument("--samples", type=int, default=100_000)
    told.add_argument("--seconds", type=float, default=float("inf"))
    told.add_argument("--even", type=float, default=0.0, help="milliseconds")
    told.add_argument("--state", type=Path, help="folder to go on in; else all is forgotten")
    given = told.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        state = given.state or Path(folder)
        kept = state / "times.npy"
        times = np.load(kept) if kept.exists() else np.empty((0, 2))
        with asked(given.run, state, given.even, seed=len(times)) as samples:
            end = time.monotonic() + given.seconds
            while len(times) < given.samples and time.monotonic() < end:
                times = np.concatenate([times, [next(samples) for _ in range(BLOCK)]])
                np.save(kept, times)
    print(json.dumps(compared(times), indent=2))


@contextmanager
def asked(run: Path, state: Path, even: float, seed: int) -> Iterator[Iterator[tuple[int, float]]]:
    """Yield kinds of answers and the seconds they took, without end, of the guard in ``state``."""
    keys = _keys(state)
    store = SqlStore(url_of(state))
    found = guarded.of_run(run, store, {}, {})
    server = make_server(found, store, Settings(state=state, even=even))
    loop = asyncio.new_event_loop()
    batches = loop.create_task(server.batcher.run())
    random = torch.Generator().manual_seed(seed)
    asking = Asking(server.app(), loop, server.batcher.engine, found, keys, random)
    for _ in range(WARM):
        asking.sample()
    gc.collect()
    gc.freeze()  # as the server does
    yield iter(asking.sample, None)
    batches.cancel()
    store.database.close()


def _keys(state: Path) -> list[str]:
    """Return the keys of an honest client and of a thief."""
    kept = state / "keys.json"
    if not kept.exists():
        made = [perform(state, None, Order(action="add", name=name)) for name in ("good", "bad")]
        kept.write_text(json.dumps([one["key"] for one in made]))
    keys: list[str] = json.loads(kept.read_text())
    return keys


@frozen(eq=False)
class Asking:
    """Two clients of a guard: one asks test images, the other noise, none of them twice."""

    app: ASGIApp
    loop: asyncio.AbstractEventLoop
    engine: Engine
    found: guarded.Guarded
    keys: list[str]
    random: torch.Generator

    def sample(self) -> tuple[int, float]:
        """Ask one image of either client; return the kind of the answer, and its seconds."""
        bad = bool(torch.randint(2, (1,), generator=self.random))
        pixels = base64.b64encode(self._image(bad).numpy().tobytes()).decode()
        body = msgspec.json.encode({"pixels": [pixels]})
        took = self.loop.run_until_complete(self._post(self.keys[bad], body))
        if not bad:
            return PLAIN, took
        seen = self.engine.service.listener
        assert isinstance(seen, Record)
        assert seen.told
        _, honest, _, steps, _ = seen.told
        return CHANGED if (list(steps.values())[-1] != honest).any() else UNCHANGED, took

    async def _post(self, key: str, body: bytes) -> float:
        """Return the seconds until the last byte was handed out."""
        named = [
            (b"authorization", f"Bearer {key}".encode()),
            (b"content-type", b"application/json"),
        ]
        scope = {"type": "http", "method": "POST", "path": PREDICT, "headers": named}
        sent: list[Any] = []

        async def receive() -> Any:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Any) -> None:
            sent.append(message)

        begun = time.perf_counter()
        await self.app(scope, receive, send)
        took = time.perf_counter() - begun
        assert sent[0]["status"] == 200, sent
        return took

    def _image(self, bad: bool) -> torch.Tensor:
        noise = torch.rand(1, *self.found.run.image_shape, generator=self.random)
        test = self.found.run.test.images
        place = torch.randint(len(test), (1,), generator=self.random)
        return noise if bad else test[place].float() / 255 * 0.98 + noise * 0.02


def compared(times: NDArray[np.float64]) -> dict[str, Any]:
    """Return Welch's t for clients (suspected or not) and for answers (changed or not)."""
    plain, unchanged, changed = (times[times[:, 0] == kind, 1] for kind in range(3))
    return {
        "samples": {"plain": len(plain), "unchanged": len(unchanged), "changed": len(changed)},
        "suspected against plain": welch(np.concatenate([unchanged, changed]), plain),
        "changed against unchanged": welch(changed, unchanged),
        "load": psutil.getloadavg(),
    }


def welch(one: NDArray[np.float64], other: NDArray[np.float64]) -> dict[str, float]:
    """Return t of the times below their common 95th percentile, and the means in microseconds."""
    bound = np.quantile(np.concatenate([one, other]), 0.95)
    cropped = [times[times <= bound] for times in (one, other)]
    t = ttest_ind(*cropped, equal_var=False).statistic
    return {"t": float(t), **{f"mean_us_{n}": float(c.mean() * 1e6) for n, c in enumerate(cropped)}}


if __name__ == "__main__":
    main()
