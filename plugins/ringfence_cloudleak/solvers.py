"""Two ways to minimise the objective: all pairs at once, and one after another as published."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from scipy.optimize import minimize
from torch import Tensor

from ringfence_cloudleak.featurefool import Objective, Pairs

RATE = 0.2  #: first step, root mean square over the pixels of an image
_TINY = 1e-12

#: Objective, pairs, iterations -> images ``(N, C, H, W)`` in the box
Solver = Callable[[Objective, Pairs, int], Tensor]


def gradient(objective: Objective, pairs: Pairs, steps: int) -> Tensor:
    """Return images ``(N, C, H, W)``: projected gradient steps from the sources, the best kept.

    Each image steps by a length of its own along its own gradient, so that no pair touches
    another. The hinge has a kink, about which steps of one length would swing for ever: they
    shrink along a cosine.
    """
    low, high = objective.box(pairs)
    images = best = pairs.sources
    least = torch.full_like(pairs.margins, torch.inf)
    for step in range(steps):
        loss, slope = objective.slope(images, pairs)
        best, least = _better(images, loss, best, least)
        size = RATE * (1 + math.cos(math.pi * step / steps)) / 2
        stuck = ((images <= low) & (slope > 0)) | ((images >= high) & (slope < 0))
        slope = slope.masked_fill(stuck, 0)  # or an edge would shorten the step of other pixels
        length = slope.square().mean((1, 2, 3), keepdim=True).sqrt()
        images = (images - size * slope / (length + _TINY)).clamp(low, high)
    with torch.no_grad():
        return _better(images, objective.loss(images, pairs), best, least)[0]


def _better(images: Tensor, loss: Tensor, best: Tensor, least: Tensor) -> tuple[Tensor, Tensor]:
    """Return the better image of every pair, and its loss."""
    lower = loss < least
    return torch.where(lower[:, None, None, None], images, best), torch.where(lower, loss, least)


def lbfgs(objective: Objective, pairs: Pairs, steps: int) -> Tensor:
    """Return images ``(N, C, H, W)``: SciPy's L-BFGS-B from the sources, pair by pair.

    The published way, and a slow one: every evaluation is a pass over a single image.
    """
    single = (pairs.rows(slice(row, row + 1)) for row in range(len(pairs)))
    found = [_one(objective, pair, steps) for pair in single]
    return torch.cat(found) if found else pairs.sources


def _one(objective: Objective, pair: Pairs, steps: int) -> Tensor:
    def slope(flat: np.ndarray) -> tuple[float, np.ndarray]:
        loss, found = objective.slope(_image(flat, pair.sources), pair)
        return loss.item(), _flat(found)

    low, high = objective.box(pair)
    solved = minimize(
        slope,
        _flat(pair.sources),
        jac=True,
        bounds=np.stack([_flat(low), _flat(high)], 1),
        method="L-BFGS-B",
        options={"maxiter": steps},
    )
    return _image(solved.x, pair.sources).clamp(low, high)  # float32 may round across an edge


def _flat(image: Tensor) -> np.ndarray:
    flat: np.ndarray = image.double().flatten().cpu().numpy()
    return flat


def _image(flat: np.ndarray, like: Tensor) -> Tensor:
    return torch.from_numpy(flat).to(like).view_as(like)
