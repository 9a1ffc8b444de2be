"""The metered oracle that the clients of one party hold: one image is one query."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from attrs import define, field
from torch import Tensor

from ringfence.errors import BadQuery, BrokenPlugin, BudgetExhausted
from ringfence.protocols import Endpoint


@define(eq=False)
class Session:
    """An oracle for the clients of one party: one budget, counted per image."""

    _endpoint: Endpoint
    clients: tuple[str, ...]
    num_classes: int
    image_shape: tuple[int, ...]
    budget: int
    _used: int = field(default=0, init=False)

    @property
    def used(self) -> int:
        """Queries that were answered."""
        return self._used

    @property
    def remaining(self) -> int:
        """Queries left, over all clients."""
        return self.budget - self.used

    def query(self, images: Tensor, clients: Sequence[str] | None = None) -> Tensor:
        """Return answers ``(N, K)``, in the dtype of ``images``."""
        self._refuse(images, clients)
        if clients is None:
            turns = range(self.used, self.used + len(images))
            clients = [self.clients[turn % len(self.clients)] for turn in turns]
        if not len(images):
            return images.new_zeros(0, self.num_classes)
        answers = self._endpoint.answer(images.float(), clients)
        if answers.shape != (len(images), self.num_classes):
            raise BrokenPlugin(
                f"The oracle answered {tuple(answers.shape)} to {len(images)} queries of "
                f"{self.num_classes} classes. Are --dataset and --oracle about one victim?"
            )
        self._used += len(images)  # a query that got no answer is not counted
        return answers.to(images.dtype)

    def _refuse(self, images: Tensor, clients: Sequence[str] | None) -> None:
        """Raise if the queries are not to be answered; nothing is counted then."""
        if not _is_batch(images, self.image_shape):
            found = (
                f"{getattr(images, 'dtype', type(images))} {tuple(getattr(images, 'shape', ()))}"
            )
            raise BadQuery(
                f"Queries are float images (N, {', '.join(map(str, self.image_shape))}), "
                f"not {found}. ringfence.images has as_float() and adapt()."
            )
        if not ((images >= 0) & (images <= 1)).all():  # NaN fails both
            raise BadQuery("Queries must be finite and in [0, 1]. Clamp them before asking.")
        if clients is not None:
            self._refuse_clients(clients, len(images))
        if len(images) > self.remaining:
            raise BudgetExhausted(
                f"{self.clients[0]} asked {len(images)} queries with {self.remaining} of "
                f"{self.budget} left. Ask for at most oracle.remaining."
            )

    def _refuse_clients(self, clients: Sequence[str], size: int) -> None:
        if len(clients) != size:
            raise BadQuery(f"{size} queries need {size} client names, not {len(clients)}.")
        if strangers := sorted(set(clients) - set(self.clients)):
            raise BadQuery(
                f"No client of this oracle is named {strangers[0]!r}. Use names of oracle.clients."
            )


def _is_batch(images: Any, shape: tuple[int, ...]) -> bool:
    return isinstance(images, Tensor) and images.is_floating_point() and images.shape[1:] == shape
