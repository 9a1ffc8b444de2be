"""Classes as Gaussians of one covariance, and the squared distance to the closest of them.

Lee, Lee, Lee, Shin, NeurIPS 2018. In float64; the covariance is divided by the number of images
and gets a ridge of 1e-6 of its mean variance, so that it can be inverted.
"""

from __future__ import annotations

import torch
from attrs import frozen
from torch import Tensor

RIDGE = 1e-6  #: of the mean variance
LEAST = 1e-12  #: of the largest variance: smaller ones are none


@frozen(eq=False)
class Gaussians:
    """Class means where the common covariance is the identity."""

    whitening: Tensor  #: ``(D, R)`` float64, from features to that space
    means: Tensor  #: ``(K, R)`` float64, of the classes that have images

    def distance(self, features: Tensor) -> Tensor:
        """Return squared Mahalanobis distances ``(N,)`` float64 of ``(N, D)`` to the closest."""
        there = features.double() @ self.whitening
        # written out: the product form of cdist loses the last digits of small distances
        apart = torch.cdist(there, self.means, compute_mode="donot_use_mm_for_euclid_dist")
        return apart.amin(-1).square()


def fit(features: Tensor, labels: Tensor) -> Gaussians:
    """Return the Gaussians of ``features`` ``(N, D)`` with ``labels`` ``(N,)``, N > 0."""
    values = features.double()
    classes, rows = labels.unique(return_inverse=True)
    sums = values.new_zeros(len(classes), values.shape[1]).index_add(0, rows, values)
    means = sums / rows.bincount()[:, None]
    centred = values - means[rows]
    covariance = centred.T @ centred / len(values)
    covariance.diagonal().add_(RIDGE * covariance.diagonal().mean())
    variances, axes = torch.linalg.eigh(covariance)
    kept = variances > LEAST * variances.amax().clamp(min=torch.finfo(torch.float64).tiny)
    whitening = axes[:, kept] / variances[kept].sqrt()
    return Gaussians(whitening, means @ whitening)
