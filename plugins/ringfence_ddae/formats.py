"""What format answers come in, as an attacker can tell who has seen some."""

from __future__ import annotations

import torch
from torch import Tensor

from ringfence.answers import refused

HARD = "hard"
DECIMALS = 6  #: float32 answers have no more that could be told from rounding


def observed_format(answers: Tensor) -> str:
    """Return the name of the format of ``answers`` ``(N, K)``: ``soft`` where nothing is seen."""
    told = answers[~refused(answers)].double()
    if not len(told):
        return "soft"
    if ((told == 0) | (told == 1)).all():
        return HARD
    for decimals in range(1, DECIMALS):
        if torch.allclose(told, told.round(decimals=decimals), rtol=0, atol=1e-7):
            return f"round{decimals}"
    most = int((told > 0).sum(-1).amax())
    return f"top{most}" if most < told.shape[1] else "soft"
