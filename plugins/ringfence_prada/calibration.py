"""The threshold that benign clients would just have passed."""

from __future__ import annotations

import torch
from attrs import evolve
from torch import nn

from ringfence.images import as_float
from ringfence.inference import logits
from ringfence.memorystore import MemoryStore
from ringfence.progress import track
from ringfence.run import DefenseRun
from ringfence.types import Queries
from ringfence_prada.detector import Normality, Watch
from ringfence_prada.normality import ENOUGH

CLIENT = "benign"


def lowest(
    detector: Normality, run: DefenseRun, victim: nn.Module, streams: int, length: int
) -> dict[str, float]:
    """Return the lowest W of benign streams, and how many streams were ever tested.

    A stream is ``length`` validation images in random order, none of them twice; fewer where
    there are fewer. The lowest W is the largest threshold with no alarm.
    """
    if min(length, len(run.validation)) <= ENOUGH:  # no stream comes to a test
        return {"lowest": 1.0, "tested": 0}
    store, random = MemoryStore(), run.generator("streams")
    rehearsing = evolve(detector, store=store.of("calibration"), delta=0.0)
    images = as_float(run.validation.images)
    scores = logits(victim, images)
    found, tested = 1.0, 0
    with track("benign streams", streams) as advance:
        for _ in range(streams):
            order = torch.randperm(len(images), generator=random, device=random.device)
            rows = order[:length]
            queries = Queries(images[rows], (CLIENT,) * len(rows), torch.arange(len(rows)))
            with store.batch((CLIENT,)):
                rehearsing.inspect(queries, scores[rows])
            watch = rehearsing.store.states(Watch)[CLIENT]
            found, tested = min(found, watch.lowest), tested + (watch.tests > 0)
            store.clear()
            advance(1)
    return {"lowest": found, "tested": tested}
