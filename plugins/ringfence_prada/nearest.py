"""Distances to the nearest of many images: what one product per image rules out is not measured.

A matrix product gives every distance up to an error that is known. Only pairs that may be the
nearest are then measured, in float64 and in a fixed order of additions, so that a distance has the
same bits however the queries are cut into batches.
"""

from __future__ import annotations

import torch
from attrs import frozen
from torch import Tensor

BLOCK = 1024  #: pixels of one product: bounds its rounding error
CHUNK = 4096  #: stored images compared at a time: bounds the memory
PAIRS = 2**22  #: pixels measured at a time

EXACT = 2**-40  #: relative rounding of the float64 sums, and more

#: relative rounding of a product, by what ``torch.set_float32_matmul_precision`` allows
ROUNDING = {"highest": 2**-24, "high": 2**-11, "medium": 2**-8}


@frozen(eq=False)
class Flat:
    """Images as rows ``(N, D)`` in ``[0, 1]``, and their squared lengths ``(N,)`` float64."""

    pixels: Tensor
    squares: Tensor

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.pixels)

    def __getitem__(self, rows: slice) -> Flat:
        """Return some of the images."""
        return Flat(self.pixels[rows], self.squares[rows])


def flat(images: Tensor) -> Flat:
    """Return float images ``(N, C, H, W)`` as rows."""
    pixels = images.flatten(1)
    return Flat(pixels, pixels.double().square_().sum(1))


def nearest(queries: Flat, stored: Flat) -> Tensor:
    """Return the L2 distance ``(M,)`` float64 of each query to its nearest; inf if none is."""
    found = queries.squares.new_full((len(queries),), torch.inf)
    for start in range(0, len(stored), CHUNK):
        chunk = stored[start : start + CHUNK]
        squared, error = _estimates(queries, chunk)
        near = squared <= squared.amin(1, keepdim=True) + 2 * error
        rows, columns = near.nonzero(as_tuple=True)
        found.scatter_reduce_(0, rows, _measured(queries, rows, chunk, columns), "amin")
    return found


def earlier(queries: Flat, bounds: Tensor) -> Tensor:
    """Return ``(M, M)`` float64: the distance of query i to an earlier query j, in row i.

    It is inf for j >= i, and where it cannot be below ``bounds[i]``.
    """
    found = queries.squares.new_full((len(queries), len(queries)), torch.inf)
    squared, error = _estimates(queries, queries)
    near = (squared - error < bounds.square()[:, None]).tril(-1)
    rows, columns = near.nonzero(as_tuple=True)
    found[rows, columns] = _measured(queries, rows, queries, columns)
    return found


def _estimates(queries: Flat, others: Flat) -> tuple[Tensor, Tensor]:
    """Return squared distances ``(M, N)``, and the error ``(M, 1)`` that none exceeds.

    A product of B terms is wrong by at most about B times the rounding times the product of the
    lengths, in whatever order it is summed up (Higham, Accuracy and Stability, section 3.1).
    """
    squared = queries.squares[:, None] + others.squares
    for start in range(0, queries.pixels.shape[1], BLOCK):
        part = slice(start, start + BLOCK)
        squared -= 2 * (queries.pixels[:, part] @ others.pixels[:, part].T).double()
    terms = min(BLOCK, queries.pixels.shape[1]) + 8  # eight more for all that is rounded besides
    relative = 2 * terms * ROUNDING[torch.get_float32_matmul_precision()]
    largest = others.squares.max()
    error = relative * (queries.squares * largest).sqrt() + EXACT * (queries.squares + largest)
    return squared, error[:, None]


def _measured(left: Flat, rows: Tensor, right: Flat, columns: Tensor) -> Tensor:
    """Return the distances of pairs ``(P,)``, given by the rows of both."""
    size = max(1, PAIRS // left.pixels.shape[1])
    parts = [
        _summed((left.pixels[a].double() - right.pixels[b].double()).square_()).sqrt()
        for a, b in zip(rows.split(size), columns.split(size), strict=True)
    ]
    return torch.cat(parts)


def _summed(rows: Tensor) -> Tensor:
    """Return the sums ``(P,)`` of ``rows`` ``(P, D)``, which are spent.

    Halves are added to halves: ``sum`` adds in an order that depends on the shape.
    """
    width = rows.shape[1]
    while width > 1:
        half = width // 2
        rows[:, :half] += rows[:, width - half : width]
        width -= half
    return rows[:, 0]
