"""The images and answers that pass a recovery, for those that train on them in ``finish``."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from attrs import define, field
from torch import Tensor

from ringfence.answers import refused
from ringfence.images import as_float
from ringfence.protocols import Oracle
from ringfence.wrapped import Wrapped


@define(eq=False)
class Seen:
    """Everything asked through :meth:`wrap`, on the device of the queries.

    An image takes a byte per pixel while all of them are 256ths, as those of a pool are; the
    first that is not makes it four.
    """

    _images: list[Tensor] = field(factory=list, init=False)
    _answers: list[Tensor] = field(factory=list, init=False)

    def wrap(self, oracle: Oracle) -> Oracle:
        """Return an oracle that writes down what it is asked and what ``oracle`` answers."""
        return Wrapped(oracle, partial(self._ask, oracle))

    def __len__(self) -> int:
        """Return the number of images asked."""
        return sum(map(len, self._answers))

    def images(self) -> Tensor:
        """Return ``(N, C, H, W)``, uint8 or float, in the order asked; ``(0,)`` before any."""
        if not self._images:
            return torch.empty(0)
        alike = all(images.dtype is self._images[0].dtype for images in self._images)
        return torch.cat([i if alike else as_float(i) for i in self._images])

    def pairs(self) -> tuple[Tensor, Tensor]:
        """Return images, and answers ``(N, K)``, without those queries that were refused."""
        if not self._answers:
            return torch.empty(0), torch.empty(0)
        answers = torch.cat(self._answers)
        told = ~refused(answers)
        return self.images()[told], answers[told]

    def _ask(self, oracle: Oracle, images: Tensor, clients: Sequence[str] | None = None) -> Tensor:
        answers = oracle.query(images, clients)
        if len(images):
            self._images.append(_compact(images))
            self._answers.append(answers.clone())
        return answers


def _compact(images: Tensor) -> Tensor:
    """Return a copy of float ``images``, as uint8 where nothing is lost by it."""
    small = (images * 255).round().to(torch.uint8)
    again = as_float(small).to(images.dtype)
    return small if torch.equal(again, images) else images.clone()
