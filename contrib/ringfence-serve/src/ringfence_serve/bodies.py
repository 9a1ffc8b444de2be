"""A limit and a deadline for bodies: the server itself has neither.

Headers that come slowly are bounded by the number of connections only: see the README.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from attrs import frozen
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ringfence_serve.replies import error


class TooLarge(Exception):
    """The body has more bytes than a request can have."""

    def __init__(self, largest: int) -> None:
        told = f"The body has more than {largest:,} bytes."
        self.response = error(413, "too_large", told, close=True)


class TooSlow(Exception):
    """The body did not come in time."""

    response = error(408, "too_slow", "The body did not come in time.", close=True)


async def whole(
    headers: Mapping[bytes, bytes], receive: Receive, largest: int, seconds: float
) -> bytes:
    """Return the body of a request, empty if its sender left."""
    told = headers.get(b"content-length", b"0")
    if told.isdigit() and int(told) > largest:
        raise TooLarge(largest)
    try:
        async with asyncio.timeout(seconds):  # wait_for would make a task of it
            return await _parts(receive, largest)
    except TimeoutError:
        raise TooSlow from None


async def _parts(receive: Receive, largest: int) -> bytes:
    parts, size = [], 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return b""
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > largest:
            raise TooLarge(largest)
        if not message.get("more_body"):
            return parts[0] if len(parts) == 1 else b"".join(parts)


@frozen(eq=False)
class Bodies:
    """ASGI middleware that hands on whole bodies only."""

    app: ASGIApp
    largest: int  #: bytes
    seconds: float  #: from the headers to the end of the body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Read the body, or answer 413 or 408."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        try:
            body = await whole(dict(scope["headers"]), receive, self.largest, self.seconds)
        except (TooLarge, TooSlow) as refused:
            await refused.response(scope, receive, send)
            return
        await self.app(scope, _Once(body, receive), send)


class _Once:
    """Hands the body over, then waits for the client to go away."""

    def __init__(self, body: bytes, rest: Receive) -> None:
        self.body: bytes | None = body
        self.rest = rest

    async def __call__(self) -> Message:
        if self.body is None:
            return await self.rest()
        body, self.body = self.body, None
        return {"type": "http.request", "body": body, "more_body": False}
