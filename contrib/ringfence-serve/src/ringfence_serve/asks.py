"""What is asked of the engine, and what it says."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
from attrs import field, frozen
from numpy.typing import NDArray
from torch import Tensor

from ringfence_serve import pixels


@frozen(eq=False)
class Ask:
    """One request: images ``(n, C, H, W)`` of one client, perhaps with an id."""

    client: str
    images: Tensor
    id: str | None = None
    size: int = field(init=False)  #: images

    @size.default
    def _count(self) -> int:
        return self.images.shape[0]

    @property
    def clients(self) -> list[str]:
        """The client, once per image."""
        return [self.client] * self.size

    @property
    def digest(self) -> bytes:
        """What tells this request from others of its client."""
        return hashlib.sha256(b"".join(pixels.digests(self.clients, self.images.numpy()))).digest()


@frozen
class Refusal:
    """A request that is not answered."""

    status: int
    code: str
    message: str


Floats = NDArray[np.floating[Any]]
Reply = Floats | Refusal  #: answers ``(n, K)`` float64
