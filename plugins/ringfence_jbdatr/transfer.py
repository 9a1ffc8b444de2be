"""What was asked and answered, and which seed each image goes back to."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from attrs import define
from torch import Tensor

from ringfence.answers import refused


@define(eq=False)
class TransferSet:
    """Images with their answers; the seeds come first.

    A refused image is counted and left out: a row of zeros names no class, and as the target of
    a cross-entropy it teaches nothing.
    """

    images: Tensor  #: ``(N, C, H, W)``, uint8 or float
    answers: Tensor  #: ``(N, K)``
    origin: Tensor  #: ``(N,)`` int64; the row of the seed that an image descends from
    seeds: int
    discarded: int

    @classmethod
    def of_seeds(cls, images: Tensor, answers: Tensor) -> TransferSet:
        """Return the seeds that were answered."""
        told = ~refused(answers)
        kept = answers[told]
        origin = torch.arange(len(kept), device=images.device)
        return cls(images[told], kept, origin, len(kept), len(answers) - len(kept))

    def __len__(self) -> int:
        """Return the number of pairs."""
        return len(self.answers)

    @property
    def labels(self) -> Tensor:
        """The victim's top-1 classes ``(N,)``."""
        return self.answers.argmax(-1)

    def add(self, images: Tensor, answers: Tensor, parents: Tensor) -> None:
        """Add the answered offspring of the rows ``parents`` ``(M,)``."""
        told = ~refused(answers)
        before = len(self)
        self.images = torch.cat([self.images, images[told]])
        self.answers = torch.cat([self.answers, answers[told]])
        self.origin = torch.cat([self.origin, self.origin[parents[told]]])
        self.discarded += len(answers) - (len(self) - before)

    def report(self) -> Mapping[str, float]:
        """Count what was learnt; ``label_changed``: share of the new images with another label.

        Another than their seed's, both as the victim answered.
        """
        labels = self.labels
        changed = (labels != labels[self.origin])[self.seeds :].double()
        return {
            "transfer_set": len(self),
            "discarded": self.discarded,
            "seeds": self.seeds,
            "seed_classes": len(labels[: self.seeds].unique()),
            "label_changed": changed.mean().item() if len(changed) else 0.0,
        }
