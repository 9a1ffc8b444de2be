"""Rows of one type that only grow: hashes, distances, growing sets."""

from __future__ import annotations

import torch
from attrs import define, field
from torch import Tensor

from ringfence.errors import BrokenPlugin


@define(eq=False)
class Log:
    """Rows ``(N, ...)`` in a buffer that doubles, so that appending stays cheap."""

    _buffer: Tensor = field(factory=lambda: torch.empty(0))
    _size: int = field(default=0)

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

    def truncate(self, size: int) -> None:
        """Forget the rows from ``size`` on."""
        self._size = size


def _row_type(rows: Tensor) -> tuple[torch.dtype, torch.Size]:
    return rows.dtype, rows.shape[1:]
