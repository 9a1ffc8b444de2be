"""Which images a round perturbs."""

from __future__ import annotations

import torch
from attrs import frozen
from torch import Generator, Tensor


@frozen
class Growth:
    """How the transfer set grows from round to round."""

    doubling: bool  #: every image so far has offspring; otherwise the seeds alone
    copies: int  #: new images of each one
    reservoir: int | None = None  #: the most images that have offspring ...
    reservoir_after: int = 0  #: ... after this many rounds

    def parents(self, size: int, seeds: int, round: int, room: int, generator: Generator) -> Tensor:
        """Return the rows ``(M,)`` of ``size`` to perturb, in order; once for each new image.

        The first ``seeds`` rows are the seeds; ``round`` counts from 0; M is at most ``room``: a
        random part of a round that does not fit.
        """
        rows = torch.arange(size if self.doubling else seeds, device=generator.device)
        if self.reservoir is not None and round >= self.reservoir_after:
            rows = some(rows, self.reservoir, generator)
        return some(rows.repeat_interleave(self.copies), room, generator)


def some(rows: Tensor, most: int, generator: Generator) -> Tensor:
    """Return ``most`` random ones of ``rows`` ``(N,)``, or all there are, in their order."""
    if len(rows) <= most:
        return rows
    chosen = torch.randperm(len(rows), generator=generator, device=generator.device)[:most]
    return rows[chosen.sort().values]
