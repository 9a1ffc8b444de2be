"""The soft switch between the victim's answer and the misinformation net's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from attrs import frozen
from torch import Tensor, nn

from ringfence.suspicion import suspected
from ringfence.types import Queries, Verdict
from ringfence_misinformation.blocks import in_blocks


def share(probs: Tensor, nu: float | None, tau: float) -> Tensor:
    """Return the share ``(N,)`` of misinformation in answers to soft labels ``(N, K)``, float64.

    ``1 / (1 + exp(nu * (max p - tau)))``; without ``nu`` it is ``tau`` for all. Not
    ``torch.sigmoid``, whose last bits depend on a row's place in the batch.
    """
    confidence = probs.amax(-1)
    if nu is None:
        return torch.full_like(confidence, tau)
    return 1 / (1 + torch.exp(nu * (confidence - tau)))  # infinity gives the 0 that is meant


def blend(probs: Tensor, wrong: Tensor, share: Tensor) -> Tensor:
    """Return ``(1 - share) * probs + share * wrong``, ``(N, K)``."""
    return (1 - share)[:, None] * probs + share[:, None] * wrong


@frozen(eq=False)
class Switch:
    """The responder at work. It remembers nothing."""

    net: nn.Module  #: the misinformation net, in eval mode
    nu: float | None
    tau: float
    block: int
    driven_by: tuple[str, ...]
    judged: Mapping[str, float]  #: on the validation images

    def respond(self, queries: Queries, probs: Tensor, verdicts: Sequence[Verdict]) -> Tensor:
        """Return soft labels ``(N, K)``, the less true the less sure ``probs`` are."""
        if not self.driven_by:
            return self._misinformed(queries.images, probs)
        rows = suspected(queries, verdicts, self.driven_by).nonzero().flatten()
        if not len(rows):
            return probs
        return probs.index_copy(0, rows, self._misinformed(queries.images[rows], probs[rows]))

    def report(self) -> Mapping[str, float]:
        """Say where the switch is, and what it costs on the validation images."""
        steepness = {} if self.nu is None else {"nu": self.nu}
        return {"tau": self.tau, **steepness, **self.judged}

    def _misinformed(self, images: Tensor, probs: Tensor) -> Tensor:
        wrong = in_blocks(self.net, images, self.block).double().softmax(-1)
        return blend(probs, wrong, share(probs, self.nu, self.tau))
