"""The largest probabilities in an order that only looks random."""

from __future__ import annotations

from itertools import permutations

import torch
from torch import Tensor

from ringfence.images import pixels
from ringfence.randomness import keyed_draw
from ringfence.types import Queries


def draws(secret: bytes, queries: Queries, rows: Tensor, *, by_image: bool) -> Tensor:
    """Return numbers in ``[0, 1)`` ``(M,)`` float64 for ``rows`` (indices) of a batch.

    By the image in 256 shades, or by client and number of the query.
    """
    if by_image:
        numbers = [keyed_draw(secret, image) for image in pixels(queries.images[rows])]
    else:
        first = queries.first[rows].tolist()
        clients = [queries.clients[row] for row in rows.tolist()]
        numbers = [keyed_draw(secret, *own) for own in zip(clients, first, strict=True)]
    return torch.tensor(numbers, dtype=torch.float64).to(rows.device)


def shuffled(probs: Tensor, numbers: Tensor, top: int) -> Tensor:
    """Return rows ``(M, K)`` whose ``top`` largest values have changed places.

    ``numbers`` ``(M,)`` in ``[0, 1)`` pick one of all orders, the honest one among them.
    """
    places = probs.argsort(stable=True, dim=-1, descending=True)[:, :top]
    orders = torch.tensor(list(permutations(range(places.shape[1]))), device=probs.device)
    chosen = orders[(numbers * len(orders)).long()]
    return probs.scatter(-1, places, probs.gather(-1, places.gather(-1, chosen)))
