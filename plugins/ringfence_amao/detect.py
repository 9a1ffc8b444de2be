"""Detect: queries of low temperature-scaled confidence, and clients with too many of them.

AMAO, section 4.3. The confidence is the TMSP, equation 8; a query is flagged where it is at most
``threshold``, equation 9; the share of flags is the client's suspicion S, equation 10.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from attrs import frozen
from torch import Tensor, nn

from ringfence.calibration import best_cut, best_temperature, malicious_images
from ringfence.confidence import max_softmax
from ringfence.flags import Flags, Suspicion, highest_rate
from ringfence.inference import logits
from ringfence.run import DefenseRun
from ringfence.types import Queries, Verdict


@frozen(eq=False)
class Doubt:
    """The detector at work."""

    temperature: float
    threshold: float
    suspicion: Suspicion
    found: Mapping[str, float]  #: what calibration says

    def inspect(self, queries: Queries, logits: Tensor) -> Verdict:
        """Judge each query by itself, and its client by all of them; the score is negative."""
        confidence = max_softmax(logits, self.temperature)
        flagged = confidence <= self.threshold
        return Verdict("amao", -confidence, flagged, self.suspicion.judge(queries, flagged))

    def report(self) -> Mapping[str, float]:
        """Say what was calibrated, from which S on clients are suspected, and how many were."""
        least = self.suspicion.min_queries
        clients = self.suspicion.store.states(Flags).values()
        return {
            **self.found,
            "first_limit": int(self.suspicion.limits(np.array([least]))[0]) / least,
            "clients": len(clients),
            "suspected": sum(client.suspected for client in clients),
        }


@frozen
class Calibration:
    """Temperature and threshold, or how they are found: on an attack that is rehearsed."""

    temperature: float | None
    threshold: float | None
    attack: str
    budget: int
    pool: str
    malicious: int

    def find(self, run: DefenseRun, victim: nn.Module) -> dict[str, float]:
        """Return both, and which share of benign queries is flagged, on validation and at worst.

        Benign queries are the validation images; the paper takes test images.
        """
        benign = logits(victim, run.validation.images)
        temperature, threshold, told = self._chosen(run, victim, benign)
        flagged = int((max_softmax(benign, temperature) <= threshold).sum())
        return {
            "temperature": temperature,
            "threshold": threshold,
            **told,
            "benign_rate": flagged / len(benign),
            "highest_rate": highest_rate(flagged, len(benign)),
        }

    def _chosen(
        self, run: DefenseRun, victim: nn.Module, benign: Tensor
    ) -> tuple[float, float, dict[str, float]]:
        if self.threshold is not None:
            return self.temperature or 1.0, self.threshold, {}
        images = malicious_images(run, victim, self.attack, self.budget, self.pool, self.malicious)
        malicious = logits(victim, images)
        if self.temperature is None:
            temperature, cut = best_temperature(benign, malicious)
        else:
            temperature = self.temperature
            cut = best_cut(*(max_softmax(z, temperature) for z in (benign, malicious)))
        return temperature, cut.threshold, {"calibration_accuracy": cut.accuracy}
