"""Ask about images, and keep what was answered."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from attrs import define, field
from torch import Tensor

from ringfence.answers import answer_format, refused
from ringfence.images import as_float
from ringfence.progress import track
from ringfence.protocols import Oracle


@define(eq=False)
class TransferSet:
    """Everything that was asked; refused images are counted, and left out of what is learnt."""

    oracle: Oracle
    batch: int  #: images a query
    rounded: bool  #: send and keep 256 levels, as files have
    discarded: int = field(default=0, init=False)
    _images: list[Tensor] = field(factory=list, init=False)
    _answers: list[Tensor] = field(factory=list, init=False)

    def __len__(self) -> int:
        """Return the number of images with an answer."""
        return sum(map(len, self._answers))

    def ask(self, images: Tensor) -> Tensor:
        """Ask about ``images`` ``(N, C, H, W)``, as many as remain; return answers ``(M, K)``."""
        answers = [images.new_zeros(0, self.oracle.num_classes, dtype=torch.float32)]
        with track("queries", len(images)) as advance:
            for part in images.split(self.batch):
                if not len(part := part[: self.oracle.remaining]):
                    break
                kept = self._stored(part)
                answers.append(self.oracle.query(as_float(kept)))
                self._keep(kept, answers[-1])
                advance(len(part))
        return torch.cat(answers)

    def pairs(self, *, argmax: bool) -> tuple[Tensor, Tensor]:
        """Return all images and answers to learn; ``argmax``: of each answer its top-1 class."""
        answers = torch.cat(self._answers)
        return torch.cat(self._images), answer_format("hard")(answers) if argmax else answers

    def report(self) -> Mapping[str, float]:
        """Count what was learnt, and what was paid for and said nothing."""
        return {"transfer_set": len(self), "discarded": self.discarded}

    def _keep(self, images: Tensor, answers: Tensor) -> None:
        told = ~refused(answers)
        self._images.append(images[told])
        self._answers.append(answers[told])
        self.discarded += len(answers) - len(self._answers[-1])

    def _stored(self, images: Tensor) -> Tensor:
        """Return ``images`` in the form in which they are sent and kept."""
        floats = as_float(images)
        return (floats * 255).round().to(torch.uint8) if self.rounded else floats
