"""The misinformation net: it learns to be sure of anything but the right class."""

from __future__ import annotations

import torch
from attrs import frozen
from torch import Tensor, nn

from ringfence.exposure import OutlierBatches
from ringfence.run import DefenseRun
from ringfence.training import fit

FLOOR = 1e-7  #: of the released code; keeps the logarithm finite


def reverse_cross_entropy(logits: Tensor, classes: Tensor) -> Tensor:
    """Return the mean of ``-log(1 - p_y + 1e-7)`` over logits ``(N, K)`` and classes ``(N,)``.

    The released code takes the cross-entropy of ``log(1 - p + 1e-7)`` instead. That adds a
    constant, because ``1 - p`` sums to ``K - 1``.
    """
    # in float32 a p_y that is rounded to 1 has no gradient left
    probs = logits.double().softmax(-1).gather(1, classes[:, None])
    return -(1 - probs + FLOOR).log().mean()


@frozen(eq=False)
class Reverse:
    """An objective for :func:`ringfence.training.fit`: wrong on images, wrong on outliers.

    What is wrong on an outlier is what the finished ``victim`` says of it.
    """

    victim: nn.Module
    outliers: OutlierBatches | None

    def __call__(self, model: nn.Module, images: Tensor, classes: Tensor) -> Tensor:
        """Return the reverse cross-entropy on ``images``, and on as many outliers."""
        if self.outliers is not None:
            outside = self.outliers.draw(len(images))
            with torch.no_grad():
                said = self.victim(outside).argmax(-1)
            images, classes = torch.cat([images, outside]), torch.cat([classes, said])
        return reverse_cross_entropy(model(images), classes)


def train(run: DefenseRun, victim: nn.Module, *, outliers: bool) -> dict[str, Tensor]:
    """Return the weights of a misinformation net for ``victim``, trained by its recipe."""
    batches = None
    if outliers:
        batches = OutlierBatches(run.outliers, run.recipe, run.generator("misinformation/outliers"))
    net = fit(
        run.new_model(),
        run.train.images,
        run.train.labels,
        run.recipe,
        objective=Reverse(victim.eval(), batches),
        generator=run.generator("misinformation"),
        name="misinformation",
    )
    return net.state_dict()
