"""The metric ``certainty``: how sure models are of what they say on test images."""

from __future__ import annotations

from typing import Any

from torch import nn

from ringfence.inference import logits
from ringfence.result import Outcome


def certainty(done: Outcome) -> dict[str, Any]:
    """Return the mean largest probability on test images of ``substitute`` and ``victim``.

    ``victim`` is null where another oracle answered: nobody here has it.
    """
    victim = done.guard.victim.model if done.guard else None
    return {
        "substitute": _mean(done, done.theft.substitute),
        "victim": _mean(done, victim) if victim else None,
    }


def _mean(done: Outcome, model: nn.Module) -> float:
    return logits(model, done.run.test.images).double().softmax(-1).amax(-1).mean().item()
