"""Images and answers as bytes: whole numbers of 256ths as one byte each, all else as floats."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

SMALL, WHOLE, NUMBER = "u1", "<f4", "<f8"
Floats = NDArray[np.floating[Any]]


def packed(images: Tensor) -> list[bytes]:
    """Return each float image of ``(N, C, H, W)`` in ``[0, 1]`` without loss in float32.

    A letter, and its numbers.
    """
    exact = np.ascontiguousarray(images.detach().float().cpu().numpy(), WHOLE)
    small = np.rint(exact * 255).astype(SMALL)
    fits = (small.astype(WHOLE) / 255 == exact).reshape(len(exact), -1).all(1)
    return [
        b"u" + small[row].tobytes() if fit else b"f" + exact[row].tobytes()
        for row, fit in enumerate(fits.tolist())
    ]


def unpacked(raw: bytes, shape: tuple[int, ...]) -> Tensor:
    """Return the float32 image that was packed; ``ValueError`` if it has another shape."""
    if raw[:1] == b"u":
        numbers = np.frombuffer(raw, SMALL, offset=1).astype(np.float32) / 255
    elif raw[:1] == b"f":
        numbers = np.frombuffer(raw, WHOLE, offset=1).astype(np.float32)
    else:
        raise ValueError("an image begins with an unknown letter")
    return torch.from_numpy(numbers.reshape(shape))


def digests(clients: Sequence[str], images: Floats) -> list[bytes]:
    """Return 16 bytes per image of ``(N, C, H, W)``: alike for one client and equal images."""
    made = []
    for client, row in zip(clients, np.ascontiguousarray(images, WHOLE), strict=True):
        one = hashlib.sha256(client.encode() + b"\0")
        one.update(row)
        made.append(one.digest()[:16])
    return made


def told(answers: Floats) -> list[bytes]:
    """Return each answer of ``(N, K)`` as bytes of float64."""
    rows = np.ascontiguousarray(answers, NUMBER)
    return [row.tobytes() for row in rows]


def numbers(raw: bytes) -> Floats:
    """Return the answer ``(K,)`` float64 of :func:`told`, not to be changed."""
    return np.frombuffer(raw, NUMBER)


def heard(raw: bytes) -> Tensor:
    """Return the same as a tensor."""
    return torch.from_numpy(numbers(raw).astype(np.float64))
