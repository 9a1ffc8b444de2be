"""A detector at work: a threshold on the victim's confidence, and a count of flags per client.

AMAO, section 4.3: a query is flagged where its confidence is at most ``threshold`` (Eq. 9); the
share of flags is the client's suspicion S (Eq. 10).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from attrs import frozen
from torch import Tensor

from ringfence.flags import Suspicion, highest_rate
from ringfence.types import Queries, Verdict

Confidence = Callable[[Tensor], Tensor]  #: logits ``(N, K)`` -> ``(N,)``, benign ones higher


@frozen(eq=False)
class Unsure:
    """Flags queries whose confidence is at most ``threshold``."""

    confidence: Confidence
    threshold: float
    suspicion: Suspicion
    found: Mapping[str, float]  #: what calibration says

    def inspect(self, queries: Queries, logits: Tensor) -> Verdict:
        """Judge each query by itself, and its client by all of them; the score is negative."""
        confidence = self.confidence(logits)
        flagged = confidence <= self.threshold
        plugin = self.suspicion.store.plugin
        return Verdict(plugin, -confidence, flagged, self.suspicion.judge(queries, flagged))

    def report(self) -> Mapping[str, float]:
        """Say what was calibrated, from which share on S suspects, and whom it suspected."""
        return {**self.found, **self.suspicion.report()}


def flag_rates(benign: Tensor, threshold: float) -> dict[str, float]:
    """Return which share of ``benign`` confidences ``(N,)`` is flagged, and at worst in truth."""
    flagged = int((benign <= threshold).sum())
    return {
        "benign_rate": flagged / len(benign),
        "highest_rate": highest_rate(flagged, len(benign)),
    }
