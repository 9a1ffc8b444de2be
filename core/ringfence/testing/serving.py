"""What detectors and responders promise alike: how they serve clients, batch after batch.

A strategy under test is a function that serves one batch and returns a row of numbers per query;
the same queries then reach fresh strategies in other ways, and every row must be the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from attrs import evolve, frozen
from torch import Tensor

from ringfence.artifact import round_trip
from ringfence.cache import Cache
from ringfence.experiment import Experiment
from ringfence.testing.promises import keeping, promise, quiet
from ringfence.testing.tiny import CLASSES, QUERIES, SIZES, tiny_experiment, traffic
from ringfence.types import Queries

Serve = Callable[[Queries, Tensor], Tensor]  #: one batch and its logits: rows ``(N, M)``
Batches = Sequence[tuple[Queries, Tensor]]
HUGE = 1e4  #: a logit beside which all others vanish in the softmax


@frozen(eq=False)
class Kind:
    """A kind of strategy: its name among the promises, and how one is made for a run."""

    name: str
    make: Callable[[Experiment], Serve]
    device: str

    def check(self) -> None:
        """Let fresh strategies answer the same queries in every way that must not matter."""
        run = evolve(tiny_experiment(device=self.device), cache=Cache(device=self.device))
        usual = self._rows(run, SIZES[0])
        for sizes in SIZES[1:]:
            told = "answers and verdicts must not depend on the batch size"
            self._same("batches", self._rows(run, sizes), usual, told)
        self._same("clients", self._by_client(run), usual, "other clients must not matter")
        fresh = tiny_experiment(device=self.device)
        self._same("seed", self._rows(fresh, SIZES[0]), usual, "the same seed, the same answers")
        told = "what is remembered must be in the store: it is saved, loaded, and goes on"
        self._same("store", self._restarted(run), usual, told)
        with keeping(f"{self.name}-hostile", "strange queries must be served like any others"):
            for batches in hostile(run):
                self._serve(run, batches)

    def _same(self, word: str, rows: Tensor, usual: Tensor, told: str) -> None:
        promise(f"{self.name}-{word}", torch.equal(rows, usual), told)

    def _rows(self, run: Experiment, sizes: Sequence[int]) -> Tensor:
        return self._serve(run, list(traffic(run, sizes)))

    def _serve(self, run: Experiment, batches: Batches) -> Tensor:
        """Return the rows of a strategy, made now, whose clients nobody knows."""
        run.store.clear()
        serve = self.make(run)
        return torch.cat([serve(*batch) for batch in batches])

    def _by_client(self, run: Experiment) -> Tensor:
        """Serve one client after the other; return the rows in the usual order."""
        [(queries, logits)] = traffic(run, (QUERIES,))
        own = [rows for _, rows in queries.by_client()]
        order = torch.cat(own)
        rows = self._serve(run, [part(queries, logits, rows) for rows in own])
        return rows[order.argsort()]

    def _restarted(self, run: Experiment) -> Tensor:
        """Serve; after each batch all but the store is lost, and that was saved and loaded."""
        run.store.clear()
        rows = []
        for batch in traffic(run, SIZES[0]):
            rows.append(self.make(run)(*batch))
            run.store.load(round_trip(run.store.dump(), run.device))
        return torch.cat(rows)


def untouched(kind: str, serve: Callable[..., Any], queries: Queries, *values: Tensor) -> Any:
    """Return what ``serve(queries, *values)`` returns; it must draw nothing, change no input."""
    before = [one.clone() for one in (queries.images, queries.first, *values)]
    with quiet(f"{kind}-random"):
        result = serve(queries, *values)
    after = (queries.images, queries.first, *values)
    same = all(torch.equal(one, other) for one, other in zip(before, after, strict=True))
    promise(f"{kind}-inputs", same, "must not change its input: neither queries nor answers")
    return result


def part(queries: Queries, logits: Tensor, rows: Tensor) -> tuple[Queries, Tensor]:
    """Return some rows of a batch."""
    clients = tuple(queries.clients[row] for row in rows.tolist())
    return Queries(queries.images[rows], clients, queries.first[rows]), logits[rows]


def hostile(run: Experiment) -> Iterator[Batches]:
    """Yield streams of queries that an attacker may send, and a victim may answer so.

    No query; black and white images only, one of them over and over; one class only, and a
    victim so sure that all other probabilities are zero; one that is not sure at all.
    """
    [(queries, logits)] = traffic(run, (QUERIES,))
    yield [part(queries, logits, torch.arange(0, device=run.device)), (queries, logits)]
    for shade in (0.0, 1.0):
        flat = evolve(queries, images=torch.full_like(queries.images, shade))
        for sure in (HUGE, 0.0):
            certain = torch.zeros_like(logits)
            certain[:, CLASSES - 1] = sure
            yield [(flat, certain), (evolve(flat, first=flat.first + QUERIES), certain)]
