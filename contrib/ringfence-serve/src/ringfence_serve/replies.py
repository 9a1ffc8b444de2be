"""What the server says: JSON, and errors that give nothing away."""

from __future__ import annotations

import math
from typing import Any

import msgspec
from starlette.responses import Response
from torch import Tensor

JSON = "application/json"


class Answer(msgspec.Struct):
    """What is said of one image; a refusal has no class, and zeros."""

    label: int | None
    probabilities: list[float]


class Answers(msgspec.Struct):
    """What is said of a request."""

    answers: list[Answer]


def answers(found: Tensor) -> Response:
    """Return answers ``(n, K)`` as JSON; a float64 keeps all its digits."""
    numbers = found.numpy()
    labels, said = numbers.argmax(-1).tolist(), (numbers != 0).any(-1).tolist()
    rows = zip(labels, said, numbers.tolist(), strict=True)
    told = Answers([Answer(label if any_ else None, row) for label, any_, row in rows])
    return Response(msgspec.json.encode(told), media_type=JSON)


def plain(value: Any, status: int = 200) -> Response:
    """Return a plain value as JSON."""
    return Response(msgspec.json.encode(value), status, media_type=JSON)


def error(
    status: int, code: str, message: str, *, wait: float | None = None, close: bool = False
) -> Response:
    """Return an error of less than 300 bytes; ``wait``: seconds until it may be tried again."""
    headers = {}
    if wait is not None:
        headers["Retry-After"] = str(max(1, math.ceil(wait)))
    if close:
        headers["Connection"] = "close"
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    body = msgspec.json.encode({"error": code, "message": message[:200]})
    return Response(body, status, headers, media_type=JSON)
