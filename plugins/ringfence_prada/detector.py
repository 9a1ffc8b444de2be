"""The detector at work: distances of each client's queries, and a test of how they are spread."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from attrs import define, frozen
from numpy.typing import NDArray
from torch import Tensor

from ringfence.store import PluginStore
from ringfence.types import Queries, Verdict
from ringfence_prada.growing import GrowingSet
from ringfence_prada.normality import Rule, statistic

MINIMA = "minima"  #: the log of a client's distances: rows of class and distance


@define
class Watch:
    """What is remembered of a client beside its growing sets and distances."""

    statistic: float = 1.0  #: W of the last test
    lowest: float = 1.0  #: of all tests
    tests: int = 0
    alarm: bool = False  #: at the last test
    suspected: bool = False
    stored: int = 0  #: images, over all classes
    turned_away: int = 0  #: images that would be stored if sets were not full


@frozen(eq=False)
class Normality:
    """Flags clients whose distances are less normal than ``delta`` allows."""

    store: PluginStore
    rule: Rule
    delta: float
    keep: int
    calibrated: int = 0  #: how many streams gave delta; 0: it was given, or is the default

    def inspect(self, queries: Queries, logits: Tensor) -> Verdict:
        """Judge each query by all distances of its client so far; the score is 1 - W."""
        classes, first = logits.argmax(-1).tolist(), queries.first.tolist()
        columns = np.zeros((len(classes), 3))
        for client, own in queries.by_client():
            rows = own.tolist()
            labels = [classes[row] for row in rows]
            distances = self._measure(client, queries.images[own], labels)
            numbers = [first[row] for row in rows]
            columns[rows] = self._judge(client, numbers, np.array(labels), distances)
        score, flagged, suspected = torch.from_numpy(columns).to(logits.device).unbind(1)
        return Verdict("prada", score, flagged.bool(), suspected.bool())

    def report(self) -> Mapping[str, float]:
        """Say which threshold was used, who raised an alarm, and what is remembered."""
        watches = self.store.states(Watch).values()
        return {
            "delta": self.delta,
            "calibrated": self.calibrated,
            "clients": len(watches),
            "tested": sum(watch.tests > 0 for watch in watches),
            "suspected": sum(watch.suspected for watch in watches),
            "stored": sum(watch.stored for watch in watches),
            "turned_away": sum(watch.turned_away for watch in watches),
        }

    def _measure(self, client: str, images: Tensor, labels: list[int]) -> NDArray[np.float64]:
        """Return the distance of each image to the nearest one kept of its class; NaN if first."""
        distances, watch = np.empty(len(labels)), self.store.state(client, Watch)
        for label in sorted(set(labels)):
            rows = [row for row, one in enumerate(labels) if one == label]
            grown = GrowingSet.of(self.store, client, label, self.keep).grow(images[rows])
            distances[rows] = grown.distances
            watch.stored += grown.joined
            watch.turned_away += grown.turned_away
        return distances

    def _judge(
        self,
        client: str,
        numbers: list[int],
        labels: NDArray[np.int64],
        distances: NDArray[np.float64],
    ) -> NDArray[np.float64]:
        """Return the columns score, flagged, suspected of one client's queries."""
        log, watch = self.store.log(client, MINIMA), self.store.state(client, Watch)
        told = ~np.isnan(distances)
        known = len(log) + told.cumsum()
        log.append(torch.from_numpy(np.stack([labels, distances], 1)[told]))
        rows = log.rows().reshape(-1, 2).numpy()  # before the first it has one dimension
        every, seen = rows[:, 1].copy(), rows[:, 0].astype(np.int64)
        columns = []
        for number, size in zip(numbers, known.tolist(), strict=True):
            if number % self.rule.every == 0:
                self._test(watch, self.rule.pool(every[:size], seen[:size]))
            watch.suspected = watch.alarm or (self.rule.latch and watch.suspected)
            columns.append((1 - watch.statistic, watch.alarm, watch.suspected))
        return np.array(columns, dtype=np.float64)

    def _test(self, watch: Watch, distances: NDArray[np.float64] | None) -> None:
        if distances is None:  # too few: the last test stands
            return
        watch.statistic = statistic(distances)
        watch.lowest = min(watch.lowest, watch.statistic)
        watch.tests += 1
        watch.alarm = watch.statistic < self.delta or watch.statistic == 0
