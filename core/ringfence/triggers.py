"""Trigger sets: what each client was told on purpose, and how a model answers to it.

One set per client. An image counts once in a set, however often it was asked, because a
model that knows one answer knows its repeats; answers without a single top class count not at all.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from attrs import frozen
from torch import Tensor

from ringfence.answers import refused
from ringfence.images import pixels
from ringfence.protocols import Oracle
from ringfence.types import Pairs

BATCH = 500  #: images a query


@frozen(eq=False)
class TriggerSet:
    """What one client was told: images ``(N, C, H, W)`` and the top classes sent ``(N,)``."""

    client: str
    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        """Return the number of triggers."""
        return len(self.labels)

    def first(self, count: int) -> TriggerSet:
        """Return the first ``count`` triggers."""
        return TriggerSet(self.client, self.images[:count], self.labels[:count])


def trigger_sets(pairs: Pairs) -> list[TriggerSet]:
    """Return one set per client that was told anything, in the order of their first triggers."""
    if not len(pairs):
        return []
    told = pairs.answers.topk(2).values
    clear = (told[:, 0] > told[:, 1]).tolist()
    rows: dict[str, dict[bytes, int]] = {}
    for row, (client, image) in enumerate(zip(pairs.clients, pixels(pairs.images), strict=True)):
        if clear[row]:
            rows.setdefault(client, {}).setdefault(image, row)
    labels = pairs.answers.argmax(-1)
    own = {client: torch.tensor(list(found.values())) for client, found in rows.items()}
    return [TriggerSet(client, pairs.images[some], labels[some]) for client, some in own.items()]


def shortened(sets: Sequence[TriggerSet], limit: int) -> list[TriggerSet]:
    """Return the sets cut to one largest size, so that all together need ``limit`` queries.

    No client is left out for another one's sake. A set without triggers is dropped.
    """
    sizes = [len(one) for one in sets]
    most = next((n for n in range(max(sizes, default=0), 0, -1) if _total(sizes, n) <= limit), 0)
    return [one.first(most) for one in sets if min(len(one), most)]


def hits(oracle: Oracle, sets: Sequence[TriggerSet]) -> list[int]:
    """Return how many labels of each set ``oracle`` answers; one query per trigger."""
    if not sets:
        return []
    images = torch.cat([one.images for one in sets])
    answers = torch.cat([oracle.query(some) for some in images.split(BATCH)])
    right = (answers.argmax(-1) == torch.cat([one.labels for one in sets])) & ~refused(answers)
    return [int(own.sum()) for own in right.split([len(one) for one in sets])]


def _total(sizes: Iterable[int], most: int) -> int:
    return sum(min(size, most) for size in sizes)
