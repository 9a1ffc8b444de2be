"""A limit and a deadline for bodies: the server itself has neither.

Headers that come slowly are bounded by the number of connections only: see the README.
"""

from __future__ import annotations

import asyncio

from attrs import frozen
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ringfence_serve.replies import error


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
            async with asyncio.timeout(self.seconds):  # wait_for would make a task of it
                body = await self._whole(scope, receive)
        except TimeoutError:
            await error(408, "too_slow", "The body did not come in time.", close=True)(
                scope, receive, send
            )
            return
        if body is None:
            message = f"The body has more than {self.largest:,} bytes."
            await error(413, "too_large", message, close=True)(scope, receive, send)
            return
        await self.app(scope, _Once(body, receive), send)

    async def _whole(self, scope: Scope, receive: Receive) -> bytes | None:
        """Return the body; nothing if it is too large."""
        told = dict(scope["headers"]).get(b"content-length", b"0")
        if told.isdigit() and int(told) > self.largest:
            return None
        parts, size = [], 0
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return b""
            parts.append(message.get("body", b""))
            size += len(parts[-1])
            if size > self.largest:
                return None
            if not message.get("more_body"):
                return b"".join(parts)


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
