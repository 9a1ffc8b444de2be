"""Binary logistic regression with an L2 penalty, its strength chosen by cross-validation.

Atli et al., section 4.2.2: L-BFGS, ten folds. In float64, on standardised features.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import torch
from attrs import frozen
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegressionCV
from sklearn.model_selection import StratifiedKFold
from torch import Tensor

from ringfence.errors import MissingData

STRENGTHS = 10  #: values of C tried, from 1e-4 to 1e4 as scikit-learn has them
STEPS = 1000  #: of L-BFGS, at most


@frozen(eq=False)
class Logistic:
    """Log-odds that a row of features is an outlier's."""

    weights: Tensor  #: ``(D,)`` float64, of the features as they come
    bias: Tensor  #: ``()`` float64
    c: float  #: the inverse strength that was chosen
    loss: float  #: mean log-loss of the folds at that strength

    def __call__(self, features: Tensor) -> Tensor:
        """Return log-odds ``(N,)`` float64 of features ``(N, D)``."""
        return features.double() @ self.weights + self.bias


def fit(inside: Tensor, outside: Tensor, folds: int, *, balanced: bool, seed: int) -> Logistic:
    """Return the regression that tells ``outside`` ``(M, D)`` from ``inside`` ``(N, D)``.

    ``balanced``: both sides count alike, however many rows they have. ``seed`` shuffles folds.
    """
    folds = min(folds, len(inside), len(outside))
    if folds < 2:
        raise MissingData(
            f"A regression needs two images or more of each side, not {len(inside)} of the "
            f"victim's and {len(outside)} outliers. Give other --outliers, or leave fewer out."
        )
    features = torch.cat([inside, outside]).double().cpu().numpy()
    sides = np.repeat([0, 1], [len(inside), len(outside)])
    mean, deviation = features.mean(0), features.std(0)
    deviation[deviation < 1e-12] = 1.0  # what never varies says nothing
    chosen = LogisticRegressionCV(
        Cs=STRENGTHS,
        cv=StratifiedKFold(folds, shuffle=True, random_state=seed),
        l1_ratios=(0.0,),
        scoring="neg_log_loss",  # accuracy would tie at 1 and take the strongest penalty
        max_iter=STEPS,
        class_weight="balanced" if balanced else None,
        use_legacy_attributes=False,
    )
    with warnings.catch_warnings():  # the weakest penalties never settle on separable data
        warnings.simplefilter("ignore", ConvergenceWarning)
        chosen.fit((features - mean) / deviation, sides)
    weights = chosen.coef_[0] / deviation
    return Logistic(
        torch.from_numpy(weights).to(inside.device),
        torch.tensor(chosen.intercept_[0] - mean @ weights).to(inside.device),
        float(chosen.C_),
        -float(chosen.scores_.mean(axis=0).max()),
    )


def dump(found: Logistic) -> dict[str, Any]:
    """Return plain values and tensors, of which ``Logistic(**dump(found))`` is made again."""
    return {"weights": found.weights, "bias": found.bias, "c": found.c, "loss": found.loss}
