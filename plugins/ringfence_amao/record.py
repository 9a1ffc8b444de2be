"""The queries whose answers were flipped, found again by their looks.

AMAO, section 4.4.2. One record is kept per client, or one for all; an entry is a perceptual
hash, the class the victim gave, and the answer that was sent instead.
"""

from __future__ import annotations

import torch
from attrs import frozen
from torch import Tensor

from ringfence.run import DefenseRun
from ringfence_amao.phash import BITS, hamming

FAR = BITS + 1  #: further away than any hash
CELLS = 2**22  #: distances computed at a time


@frozen(eq=False)
class Record:
    """One record, in the store. Entries are in the order in which they were made."""

    hashes: Tensor  #: ``(R,)`` int64
    classes: Tensor  #: ``(R,)`` int64, the victim's
    answers: Tensor  #: ``(R, K)`` float64

    @classmethod
    def of(cls, run: DefenseRun, owner: str) -> Record:
        """Return the record of ``owner``: a client, or everybody's if empty."""
        return cls(*(run.store.log(owner, name).rows() for name in NAMES))

    def __len__(self) -> int:
        """Return the number of entries."""
        return len(self.hashes)

    def nearest(
        self, hashes: Tensor, classes: Tensor, *, same_class: bool
    ) -> tuple[Tensor, Tensor]:
        """Return the distance ``(N,)`` to the nearest entry, and which it is, the oldest first.

        Without entries, and where ``same_class`` leaves none, all are FAR.
        """
        if not len(self):
            return torch.full_like(hashes, FAR), torch.zeros_like(hashes)
        found = [
            self._nearest(some, own, same_class)
            for some, own in zip(*(t.split(self._rows()) for t in (hashes, classes)), strict=True)
        ]
        distances, entries = zip(*found, strict=True)
        return torch.cat(distances), torch.cat(entries)

    def _nearest(self, hashes: Tensor, classes: Tensor, same_class: bool) -> tuple[Tensor, Tensor]:
        distances = hamming(hashes[:, None], self.hashes)
        if same_class:
            distances.masked_fill_(classes[:, None] != self.classes, FAR)
        entry = distances.argmin(1)  # of equals the first
        return distances.gather(1, entry[:, None])[:, 0].long(), entry

    def _rows(self) -> int:
        """Return how many queries are compared at a time, so that memory stays bounded."""
        return max(1, CELLS // len(self))


NAMES = ("hashes", "classes", "answers")


def write(run: DefenseRun, owner: str, hashes: Tensor, classes: Tensor, answers: Tensor) -> None:
    """Append entries to the record of ``owner``."""
    for name, rows in zip(NAMES, (hashes, classes, answers), strict=True):
        run.store.log(owner, name).append(rows)
