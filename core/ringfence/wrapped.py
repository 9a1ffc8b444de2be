"""The oracle that a recovery's ``wrap`` returns: another one, asked in another way."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from attrs import frozen
from torch import Tensor

from ringfence.protocols import Oracle


def _all(remaining: int) -> int:
    return remaining


@frozen(eq=False)
class Wrapped:
    """An oracle whose queries go through ``ask``, and so to ``inner``.

    ``ask(images, clients)`` returns an answer per image. ``left`` turns what ``inner`` may still
    be asked into what this oracle may: fewer, where one image costs several queries.
    """

    inner: Oracle
    ask: Callable[[Tensor, Sequence[str] | None], Tensor]
    left: Callable[[int], int] = _all

    @property
    def num_classes(self) -> int:
        """Number of columns of every answer."""
        return self.inner.num_classes

    @property
    def clients(self) -> tuple[str, ...]:
        """The names under which one may ask."""
        return self.inner.clients

    @property
    def remaining(self) -> int:
        """Images that may still be asked through this oracle."""
        return self.left(self.inner.remaining)

    def query(self, images: Tensor, clients: Sequence[str] | None = None) -> Tensor:
        """Return answers ``(N, K)``."""
        return self.ask(images, clients)
