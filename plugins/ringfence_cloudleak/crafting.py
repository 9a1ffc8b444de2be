"""Craft images on the present substitute."""

from __future__ import annotations

import torch
from attrs import frozen
from torch import Tensor, nn

from ringfence.images import as_float
from ringfence.progress import track
from ringfence_cloudleak.featurefool import Objective, Pairs, margins
from ringfence_cloudleak.solvers import Solver

REACHED = 1e-3  #: a hinge up to this counts as zero: the best image lies at its kink


@frozen(eq=False)
class Bank:
    """Images, and what the victim or else the substitute takes them for."""

    images: Tensor  #: ``(N, C, H, W)``, uint8 or float
    classes: Tensor  #: ``(N,)`` int64


@frozen(eq=False, kw_only=True)
class Crafter:
    """FeatureFool with everything chosen but substitute and pairs."""

    alpha: float
    by_class: bool  #: the margin is equation 11's; else it is alpha
    mu: float
    eps: float | None
    normalised: bool
    solver: Solver
    steps: int
    batch: int

    def craft(
        self, model: nn.Module, sources: Bank, guides: Bank, rows: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return images ``(N, C, H, W)`` for ``rows`` ``(N, 2)``, and whose hinge is zero ``(N,)``.

        ``rows`` hold a source and a guide; N > 0.
        """
        objective = Objective(model, self.mu, self.eps, self.normalised)
        away, toward = objective.bank(sources.images), objective.bank(guides.images)
        limits = self._limits(toward, guides.classes)
        made, reached = [], []
        with track("crafting", len(rows)) as advance:
            for some in rows.split(self.batch):
                source, guide = some.unbind(1)
                start = as_float(sources.images[source])
                pairs = Pairs(start, away[source], toward[guide], limits[guide])
                made.append(self.solver(objective, pairs, self.steps))
                with torch.no_grad():
                    reached.append(objective.hinge(made[-1], pairs) <= REACHED)
                advance(len(some))
        return torch.cat(made), torch.cat(reached)

    def _limits(self, found: Tensor, classes: Tensor) -> Tensor:
        """Return the margin of every guide ``(G,)``."""
        if not self.by_class:
            return found.new_full((len(found),), self.alpha)
        return margins(found, classes, self.alpha)[classes]
