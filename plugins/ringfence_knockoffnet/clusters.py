"""Classes for a pool without labels: clusters of images that look alike."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from ringfence.images import as_float

SIDE = 8  #: images are compared at this size
CHUNK = 1024  #: images made smaller at a time: bounds the memory of the float copy
PASSES = 5  #: over the pool, in batches of CHUNK


def clusters(pool: Tensor, count: int, generator: Generator) -> Tensor:
    """Return the cluster ``(P,)`` int64 of each image ``(P, C, H, W)``, numbered from 0.

    Mini-batch k-means on the pixels at 8x8; at most ``count`` clusters, none of them empty.
    """
    from sklearn.cluster import MiniBatchKMeans  # scikit-learn: a second to import

    points = _small(pool)
    means = MiniBatchKMeans(
        min(count, len(points)),
        batch_size=CHUNK,
        max_iter=PASSES,
        n_init=1,  # with the next: nothing is decided by a sum whose order threads decide
        max_no_improvement=None,
        random_state=generator.initial_seed() % 2**32,
    )
    found = torch.from_numpy(means.fit_predict(points)).long()
    numbers: Tensor = found.unique(return_inverse=True)[1]
    return numbers


def _small(pool: Tensor) -> np.ndarray:
    """Return images as rows of pixels in ``[0, 1]``."""
    parts = [F.adaptive_avg_pool2d(as_float(chunk), SIDE).flatten(1) for chunk in pool.split(CHUNK)]
    return torch.cat(parts).float().cpu().numpy()
