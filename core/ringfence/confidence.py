"""How sure a model is of a query, from its logits; benign queries tend to be higher.

All in float64: near 1 a softmax in float32 cannot tell confident answers apart.
"""

from __future__ import annotations

from torch import Tensor


def max_softmax(logits: Tensor, temperature: float = 1.0) -> Tensor:
    """Return the largest softmax of logits ``(N, K)`` over ``temperature``: ``(N,)``, 1/K to 1.

    Hendrycks and Gimpel, ICLR 2017; with a temperature AMAO's TMSP, Eq. 8.
    """
    scores = logits.double()
    return (scores if temperature == 1 else scores / temperature).softmax(-1).amax(-1)


def negative_energy(logits: Tensor) -> Tensor:
    """Return ``log sum exp`` of logits ``(N, K)``: ``(N,)``, any number.

    Liu et al., "Energy-based Out-of-distribution Detection", NeurIPS 2020, at temperature 1.
    """
    return logits.double().logsumexp(-1)
