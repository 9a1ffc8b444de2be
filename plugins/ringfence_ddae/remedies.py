"""What is done to the answers that pass: nothing, a restorer, or the refusal of doubtful ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor, nn

from ringfence_ddae.restorer import Restorer
from ringfence_ddae.simulation import posterior

#: Images ``(N, C, H, W)`` in [0, 1] and answers ``(N, K)``, none refused -> other answers
Remedy = Callable[[Tensor, Tensor], Tensor]


def keep(images: Tensor, answers: Tensor) -> Tensor:
    """Return the answers as they are."""
    return answers


def restoring(restorer: Restorer, own: Sequence[nn.Module]) -> Remedy:
    """Return a remedy that hands on what ``restorer`` makes of each answer.

    ``own``: the models whose posterior it has learnt to look at, or none.
    """

    def restore(images: Tensor, answers: Tensor) -> Tensor:
        return restorer(answers, posterior(own, images) if own else None)

    return restore


def rejecting(own: Sequence[nn.Module], doubt: float) -> Remedy:
    """Return a remedy that turns an answer into zeros, as if it were refused.

    That is where ``own`` models give its class less than ``doubt``.
    """

    def reject(images: Tensor, answers: Tensor) -> Tensor:
        chosen = answers.argmax(-1, keepdim=True)
        belief = posterior(own, images).gather(-1, chosen)
        return answers.masked_fill(belief < doubt, 0)

    return reject
