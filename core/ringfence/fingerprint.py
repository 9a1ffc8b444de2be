"""Short names for large things: a hash of tensors and plain values."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import torch
from torch import Tensor


def fingerprint(*parts: Any) -> str:
    """Return 16 hex digits that depend on every tensor and every plain value in ``parts``."""
    return commitment(*parts)[:16]


def commitment(*parts: Any) -> str:
    """Return all 64 hex digits: nobody finds other ``parts`` that have the same.

    Tensors count in full only as parts of their own, not inside of others.
    """
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, Tensor):
            digest.update(f"{part.dtype}{tuple(part.shape)}".encode())
            digest.update(_raw(part))
        else:
            digest.update(json.dumps(part, sort_keys=True, default=_told).encode())
        digest.update(b"\0")
    return digest.hexdigest()


def _told(value: Any) -> str:
    """Return what tells ``value`` from others of its kind: JSON knows neither it nor its kind."""
    return fingerprint(value) if isinstance(value, Tensor) else repr(value)


def _raw(values: Tensor) -> Any:
    """Return the bytes of ``values``, without a copy where they lie in order on the CPU."""
    flat = values.detach().cpu().contiguous().flatten()
    return flat.view(torch.uint8).numpy() if len(flat) else b""
