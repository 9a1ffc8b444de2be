"""Deal so that what is similar comes from different accounts.

In each round, in which every account gets one query, the queries are matched to the accounts so
that the sum of their distances to the nearest query of their account is largest.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from attrs import define, field
from scipy.optimize import linear_sum_assignment
from torch import Tensor

SIDE = 16  #: larger images are averaged down to this: similarity needs no more
BLOCK = 1024  #: images whose distances to one another are held at a time


@define(eq=False)
class Apart:
    """What was sent by whom, and who is still to send in this round."""

    accounts: int
    remember: int  #: queries; at most ``SIDE * SIDE`` floats per channel each
    _sent: Tensor | None = field(default=None, init=False)  #: ``(M, D)``
    _owners: Tensor | None = field(default=None, init=False)  #: ``(M,)`` int64
    _free: list[int] = field(factory=list, init=False)

    def deal(self, images: Tensor) -> list[int]:
        """Return the number of an account for each image."""
        return [owner for block in images.split(BLOCK) for owner in self._deal(_features(block))]

    def _deal(self, points: Tensor) -> list[int]:
        near = self._nearest(points).cpu().numpy()
        within = torch.cdist(points, points).cpu().numpy()
        owners = np.empty(len(points), dtype=np.int64)
        done = 0
        while done < len(points):  # a round at a time
            self._free = self._free or list(range(self.accounts))
            rows = np.arange(done, min(done + len(self._free), len(points)))
            some, places = linear_sum_assignment(near[rows][:, self._free], maximize=True)
            chosen = np.array(self._free)[places]
            owners[rows[some]] = chosen
            near[:, chosen] = np.minimum(near[:, chosen], within[:, rows[some]])
            self._free = [account for account in self._free if account not in chosen]
            done += len(rows)
        self._keep(points, torch.from_numpy(owners).to(points.device))
        return [int(owner) for owner in owners]

    def _nearest(self, points: Tensor) -> Tensor:
        """Return the distance ``(N, accounts)`` to what is nearest of all an account has sent."""
        far = points.shape[1] ** 0.5  # the diagonal of the box, where an account sent nothing
        near = points.new_full((len(points), self.accounts), far)
        if self._sent is None or self._owners is None:
            return near
        owners = self._owners.expand(len(points), -1)
        return near.scatter_reduce(1, owners, torch.cdist(points, self._sent), "amin")

    def _keep(self, points: Tensor, owners: Tensor) -> None:
        sent = [] if self._sent is None or self._owners is None else [(self._sent, self._owners)]
        all_points, all_owners = zip(*sent, (points, owners), strict=True)
        self._sent = torch.cat(all_points)[-self.remember :]
        self._owners = torch.cat(all_owners)[-self.remember :]


def _features(images: Tensor) -> Tensor:
    """Return points ``(N, D)`` whose distances say how similar images ``(N, C, H, W)`` are."""
    size = (min(images.shape[2], SIDE), min(images.shape[3], SIDE))
    return F.adaptive_avg_pool2d(images, size).flatten(1)
