"""The queries whose answers were flipped, found again by their looks.

AMAO, section 4.4.2. One record is kept per client, or one for all; an entry is a perceptual
hash, the class the victim gave, and the answer that was sent instead.
"""

from __future__ import annotations

import numpy as np
import torch
from attrs import frozen
from numpy.typing import NDArray
from torch import Tensor

from ringfence.run import DefenseRun
from ringfence_amao.phash import BITS

FAR = BITS + 1  #: further away than any hash
CELLS = 2**16  #: distances computed at a time, so that they stay in the cache
SEEN, SAID = ("hashes", "classes"), "answers"  #: logs of the store


@frozen(eq=False)
class Record:
    """One record, in the store, on the CPU. Entries are in the order in which they were made."""

    hashes: NDArray[np.uint64]  #: ``(R,)``
    classes: NDArray[np.int64]  #: ``(R,)``, the victim's

    @classmethod
    def of(cls, run: DefenseRun, owner: str) -> Record:
        """Return the record of ``owner``: a client, or everybody's if empty."""
        hashes, classes = (run.store.log(owner, name).array() for name in SEEN)
        return cls(hashes.view(np.uint64), classes)

    def __len__(self) -> int:
        """Return the number of entries."""
        return len(self.hashes)

    def nearest(
        self, hashes: NDArray[np.uint64], classes: NDArray[np.int64], *, same_class: bool
    ) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        """Return the distance ``(N,)`` to the nearest entry, and which it is, the oldest first.

        Without entries, and where ``same_class`` leaves none, all are FAR.
        """
        if len(self) and len(hashes) * len(self) <= CELLS:
            return self._nearest(hashes, classes, same_class)
        nearest = np.full(len(hashes), FAR, np.uint8), np.zeros(len(hashes), np.int64)
        if len(self):
            rows = max(1, CELLS // len(self))
            for start in range(0, len(hashes), rows):
                some = slice(start, start + rows)
                found = self._nearest(hashes[some], classes[some], same_class)
                nearest[0][some], nearest[1][some] = found
        return nearest

    def _nearest(
        self, hashes: NDArray[np.uint64], classes: NDArray[np.int64], same_class: bool
    ) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        distances = np.bitwise_count(hashes[:, None] ^ self.hashes)
        if same_class:
            other = (classes[:, None] != self.classes).view(np.uint8)
            np.maximum(distances, other * np.uint8(FAR), out=distances)  # faster than a mask
        entries = distances.argmin(1)  # of equals the first
        return distances[np.arange(len(entries)), entries], entries


def recall(run: DefenseRun, owner: str, entries: list[int]) -> Tensor:
    """Return what was said ``(n, K)`` of these entries."""
    return run.store.log(owner, SAID).rows()[entries]


def write(
    run: DefenseRun,
    owner: str,
    hashes: NDArray[np.uint64],
    classes: NDArray[np.int64],
    said: Tensor,
) -> None:
    """Append entries to the record of ``owner``."""
    rows = torch.from_numpy(hashes.view(np.int64)), torch.from_numpy(classes), said.cpu()
    for name, own in zip((*SEEN, SAID), rows, strict=True):
        run.store.log(owner, name).append(own)
