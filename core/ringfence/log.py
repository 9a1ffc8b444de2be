"""Rows of one type that only grow: hashes, distances, growing sets."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from attrs import define, field
from numpy.typing import NDArray
from torch import Tensor

from ringfence.errors import BrokenPlugin


@define(eq=False)
class Log:
    """Rows ``(N, ...)`` in a buffer that doubles, so that appending stays cheap."""

    _buffer: Tensor = field(factory=lambda: torch.empty(0))
    _size: int = field(default=0)
    _seen: Tensor | None = field(default=None, init=False)  #: the buffer that ``_array`` shows
    _array: NDArray[Any] = field(factory=lambda: np.empty(0), init=False)

    def __len__(self) -> int:
        """Return the number of rows."""
        return self._size

    def append(self, rows: Tensor) -> None:
        """Add rows ``(N, ...)`` of the same dtype and row shape as those before."""
        if not self._size:
            self._buffer = rows.new_empty((0, *rows.shape[1:]))
        elif _row_type(rows) != _row_type(self._buffer):
            raise BrokenPlugin(f"A log holds {_row_type(self._buffer)}, not {_row_type(rows)}.")
        end = self._size + len(rows)
        if end > len(self._buffer):
            larger = self._buffer.new_empty((max(end, 2 * len(self._buffer)), *rows.shape[1:]))
            larger[: self._size] = self.rows()
            self._buffer = larger
        self._buffer[self._size : end] = rows.detach()
        self._size = end

    def rows(self) -> Tensor:
        """Return all rows so far, ``(N, ...)``, not to be changed; ``(0,)`` before the first."""
        return self._buffer[: self._size]

    def array(self) -> NDArray[Any]:
        """Return :meth:`rows` as a NumPy array on the CPU, not to be changed either.

        One is kept for the whole buffer: to make it of a tensor takes longer than short logs need.
        """
        if self._buffer.device.type != "cpu":
            made: NDArray[Any] = self.rows().cpu().numpy()
            return made
        if self._seen is not self._buffer:
            self._seen, self._array = self._buffer, self._buffer.numpy()
        return self._array[: self._size]

    def truncate(self, size: int) -> None:
        """Forget the rows from ``size`` on."""
        self._size = size


def _row_type(rows: Tensor) -> tuple[torch.dtype, torch.Size]:
    return rows.dtype, rows.shape[1:]
