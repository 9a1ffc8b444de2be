"""Detect: queries of low temperature-scaled confidence, and clients with too many of them.

AMAO, section 4.3. The confidence is the TMSP, equation 8; threshold and temperature are given, or
found on an attack that the defender rehearses on its own victim.
"""

from __future__ import annotations

from attrs import frozen
from torch import Tensor, nn

from ringfence.calibration import best_cut, best_temperature, malicious_images
from ringfence.confidence import max_softmax
from ringfence.inference import logits
from ringfence.run import DefenseRun
from ringfence.unsure import flag_rates


@frozen
class Calibration:
    """Temperature and threshold, or how they are found."""

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
        return {
            "temperature": temperature,
            "threshold": threshold,
            **told,
            **flag_rates(max_softmax(benign, temperature), threshold),
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
