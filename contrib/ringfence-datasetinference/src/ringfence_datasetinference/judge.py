"""The verifier at work: Welch's test between private images and others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from attrs import define, field
from scipy.stats import ttest_ind
from torch import Tensor, nn

from ringfence.inference import predict
from ringfence.protocols import Oracle
from ringfence.run import DefenseRun
from ringfence.types import Evidence
from ringfence_datasetinference.confidence import Confidence, learn
from ringfence_datasetinference.samples import Samples
from ringfence_datasetinference.walk import Walk

FEWEST = 2  #: images of each side; with fewer there is no deviation
ALIKE = 1e-9  #: values that differ by less are one value, of which no test says anything


@define(eq=False)
class Judge:
    """Asks a suspect about private images and others. The controls are not asked."""

    run: DefenseRun
    victim: nn.Module
    walk: Walk
    samples: Samples
    alpha: float
    _report: dict[str, float] = field(factory=dict, init=False)

    def verify(self, suspect: Oracle, controls: Sequence[Oracle]) -> Evidence:
        """Return how much surer the suspect is of private images: a difference in [-2, 2]."""
        name, most = self.run.store.plugin, len(self.samples.private.asked)
        walk = self.walk.within(suspect.remaining, max(1, 2 * most))
        number = min(most, suspect.remaining // (2 * walk.cost))
        self._report = {"samples": number, "directions": walk.directions, "queries": 0}
        if number < FEWEST:
            return Evidence(name, 0.0, 1.0, False)
        before = suspect.remaining

        def label(images: Tensor) -> Tensor:
            return suspect.query(images).argmax(-1)

        ways = self.run.generator("ways/asked")
        found = walk.distances(label, self.samples.first(number), ways)
        self._report["queries"] = before - suspect.remaining
        private, other = self._confidence(walk)(found).double().cpu().split(number)
        p_value = _welch(private, other)
        difference = (private.mean() - other.mean()).item()
        return Evidence(name, difference, p_value, p_value < self.alpha)

    def report(self) -> Mapping[str, float]:
        """Say what the last suspect was asked: images of each side, directions, queries."""
        return self._report

    def _confidence(self, walk: Walk) -> Confidence:
        """Return what was learnt from the victim, whose queries cost nothing."""

        def make() -> dict[str, object]:
            sides, ways = (self.samples.private, self.samples.other), self.run.generator("ways")
            label = partial(predict, self.victim)
            return learn(*(walk.distances(label, side.learnt, ways) for side in sides)).dump()

        return Confidence(**self.run.cached(f"confidence-{walk.directions}", make))


def _welch(private: Tensor, other: Tensor) -> float:
    """Return the p-value of larger values at private images; 1 where nothing varies."""
    if min(private.std().item(), other.std().item()) < ALIKE:
        return 1.0
    found = ttest_ind(private.numpy(), other.numpy(), equal_var=False, alternative="greater")
    return float(found.pvalue)
