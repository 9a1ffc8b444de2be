"""Images and answers as bytes: whole numbers of 256ths as one byte each, all else as floats."""

from __future__ import annotations

import hashlib

import numpy as np
import torch
from torch import Tensor

SMALL, WHOLE = "u1", "<f4"


def packed(image: Tensor) -> bytes:
    """Return a float image in ``[0, 1]`` as a letter and its numbers, without loss in float32."""
    exact = image.detach().float().cpu().contiguous()
    small = (exact * 255).round().to(torch.uint8)
    if torch.equal(small.float() / 255, exact):
        return b"u" + small.numpy().tobytes()
    return b"f" + exact.numpy().astype(WHOLE).tobytes()


def unpacked(raw: bytes, shape: tuple[int, ...]) -> Tensor:
    """Return the float32 image that was packed; ``ValueError`` if it has another shape."""
    if raw[:1] == b"u":
        numbers = np.frombuffer(raw, SMALL, offset=1).astype(np.float32) / 255
    elif raw[:1] == b"f":
        numbers = np.frombuffer(raw, WHOLE, offset=1).astype(np.float32)
    else:
        raise ValueError("an image begins with an unknown letter")
    return torch.from_numpy(numbers.reshape(shape))


def digests(client: str, images: Tensor) -> list[bytes]:
    """Return 16 bytes per image of ``(N, C, H, W)``: alike for one client and equal images."""
    rows = images.detach().float().cpu().contiguous().flatten(1).numpy().astype(WHOLE)
    begun = hashlib.sha256(client.encode() + b"\0")
    made = []
    for row in rows:
        one = begun.copy()
        one.update(row)
        made.append(one.digest()[:16])
    return made


def told(answer: Tensor) -> bytes:
    """Return an answer ``(K,)`` as bytes of float64."""
    return answer.detach().double().cpu().contiguous().numpy().astype("<f8").tobytes()


def heard(raw: bytes) -> Tensor:
    """Return the answer ``(K,)`` float64 of :func:`told`."""
    return torch.from_numpy(np.frombuffer(raw, "<f8").astype(np.float64))
