"""The detector at work: a threshold on confidence, and a count of flags per client."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from attrs import frozen
from torch import Tensor

from ringfence.confidence import max_softmax, negative_energy
from ringfence.flags import Flags, Suspicion
from ringfence.types import Queries, Verdict

Confidence = Callable[[Tensor], Tensor]
CONFIDENCES: Mapping[str, Confidence] = {"msp": max_softmax, "energy": negative_energy}


@frozen(eq=False)
class LowConfidence:
    """Flags queries whose confidence is at most ``threshold``."""

    confidence: Confidence
    threshold: float
    suspicion: Suspicion
    found: Mapping[str, float]  #: what calibration says

    def inspect(self, queries: Queries, logits: Tensor) -> Verdict:
        """Judge each query by itself, and its client by all of them; the score is negative."""
        confidence = self.confidence(logits)
        flagged = confidence <= self.threshold
        return Verdict("ood", -confidence, flagged, self.suspicion.judge(queries, flagged))

    def report(self) -> Mapping[str, float]:
        """Say what was calibrated, from which share on S suspects, and whom it suspected."""
        least = self.suspicion.min_queries
        clients = self.suspicion.store.states(Flags).values()
        return {
            **self.found,
            "first_limit": int(self.suspicion.limits(np.array([least]))[0]) / least,
            "clients": len(clients),
            "suspected": sum(client.suspected for client in clients),
        }
