"""The metric ``distances``: how far apart each side's queries were, as PRADA measured it.

A pure function of a finished run, for Figures 7 and 8 of AMAO: who is benign is known to the core,
not to a detector.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ringfence.attacker import attacker_names
from ringfence.benign import benign_names
from ringfence.result import Outcome
from ringfence_prada.detector import MINIMA, Normality, Watch

BINS = 50  #: of a histogram, from 0 to the largest distance of either side


def distances(done: Outcome) -> dict[str, Any]:
    """Return, for benign clients and the attacker, a histogram of all their distances.

    ``largest``: right edge of the last bin, L2 on pixels in ``[0, 1]``; ``delta``; per side:
    ``counts`` per bin, ``mean``, ``std`` (null without distances), and per client the last ``w``
    and the ``lowest`` (null without a test). Nothing where no PRADA watched.
    """
    detectors = done.guard.service.detectors.values() if done.guard else ()
    watching = [one for one in detectors if isinstance(one, Normality)]
    if not watching:
        return {}
    detector = watching[0]
    sides = {"benign": benign_names(done.run), "attacker": attacker_names(done.run)}
    values = {side: _distances(done, detector, clients) for side, clients in sides.items()}
    largest = max((float(own.max()) for own in values.values() if len(own)), default=0.0)
    watches = detector.store.states(Watch)
    figures = {
        side: _figures(values[side], largest)
        | _tests([watches[client] for client in clients if client in watches])
        for side, clients in sides.items()
    }
    return {"delta": detector.delta, "largest": largest, **figures}


def _distances(done: Outcome, detector: Normality, clients: tuple[str, ...]) -> NDArray[np.float64]:
    """Return all distances of some clients ``(N,)``."""
    with done.run.store.batch(clients):
        logs = [detector.store.log(client, MINIMA).rows().reshape(-1, 2) for client in clients]
    return np.concatenate([np.empty(0), *(rows[:, 1].numpy() for rows in logs)])


def _figures(values: NDArray[np.float64], largest: float) -> dict[str, Any]:
    counts, _ = np.histogram(values, BINS, (0, largest or 1))
    known = len(values) > 0
    return {
        "counts": counts.tolist(),
        "mean": float(values.mean()) if known else None,
        "std": float(values.std()) if known else None,
    }


def _tests(watches: list[Watch]) -> dict[str, Any]:
    return {
        "w": [watch.statistic if watch.tests else None for watch in watches],
        "lowest": [watch.lowest if watch.tests else None for watch in watches],
    }
