"""What the server says: JSON, and errors that give nothing away."""

from __future__ import annotations

import math
from typing import Any

import msgspec
from starlette.responses import Response
from starlette.types import Send

from ringfence_serve.asks import Floats

JSON = "application/json"
_JSON_HEADERS = [(b"content-type", JSON.encode())]
_encoder = msgspec.json.Encoder()


class Answer(msgspec.Struct):
    """What is said of one image; a refusal has no class, and zeros."""

    label: int | None
    probabilities: list[float]


class Answers(msgspec.Struct):
    """What is said of a request."""

    answers: list[Answer]


def answers(found: Floats) -> bytes:
    """Return answers ``(n, K)`` as JSON; a float64 keeps all its digits."""
    return _encoder.encode(Answers([Answer(_label(row), row) for row in found.tolist()]))


def _label(row: list[float]) -> int | None:
    return row.index(max(row)) if any(row) else None


async def send(body: bytes, send: Send) -> None:
    """Send JSON as it is."""
    headers = [*_JSON_HEADERS, (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


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


BUSY = error(503, "busy", "Too many queries are waiting.", wait=1)


def failed() -> Response:
    """Return the error for what should not have happened."""
    return error(500, "failed", "The request failed. The operator's log says why.")


def wrong_method(allowed: str) -> Response:
    """Return the error for a method that is not one of ``allowed``."""
    response = error(405, "method", "Use another method.")
    response.headers["Allow"] = allowed
    return response
