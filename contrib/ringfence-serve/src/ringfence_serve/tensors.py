"""Rows of one type as bytes, and back."""

from __future__ import annotations

import json

import torch
from torch import Tensor

_TYPES = {
    str(kind).removeprefix("torch."): kind
    for kind in (
        torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64,
        torch.float16, torch.bfloat16, torch.float32, torch.float64,
    )
}  # fmt: skip


def write(rows: Tensor) -> tuple[str, str, bytes]:
    """Return type, row shape and bytes of rows ``(N, ...)``."""
    flat = rows.detach().cpu().contiguous()
    raw = flat.flatten().view(torch.uint8).numpy().tobytes()
    kind = str(rows.dtype).removeprefix("torch.")
    return kind, json.dumps(list(rows.shape[1:])), raw


def read(dtype: str, shape: str, raw: bytes) -> Tensor:
    """Return the rows that were written."""
    rows = torch.frombuffer(bytearray(raw), dtype=_TYPES[dtype])
    return rows.reshape(-1, *json.loads(shape))
