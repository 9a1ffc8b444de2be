"""What only the operator sees and orders: the pages, and ``ringfence clients`` beside a server."""

from __future__ import annotations

import base64
import binascii
from contextlib import suppress

import msgspec
from attrs import field, frozen
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from ringfence.errors import RingfenceError
from ringfence_serve import keys, replies
from ringfence_serve.batcher import Batcher
from ringfence_serve.operations import Operations, Order
from ringfence_serve.page import Page

OPERATOR = "/operator"
_SAFE = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; img-src data:",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


@frozen(eq=False)
class OperatorRoutes:
    """The operator's part of a server."""

    batcher: Batcher
    operations: Operations
    page: Page
    key: str = field(repr=False)

    def routes(self) -> list[Route]:
        """Return them."""
        return [
            Route(OPERATOR, self.overview),
            Route(OPERATOR + "/clients/{name}", self.client),
            Route(OPERATOR + "/orders", self.order, methods=["POST"]),
        ]

    async def overview(self, request: Request) -> Response:
        """Show all clients, those under suspicion first."""
        if not self._allowed(request):
            return _closed()
        return HTMLResponse(await self.batcher.call(self.page.overview), headers=_SAFE)

    async def client(self, request: Request) -> Response:
        """Show one client's history."""
        if not self._allowed(request):
            return _closed()
        try:
            told = await self.batcher.call(self.page.client, request.path_params["name"])
        except RingfenceError as error:
            return replies.error(404, "unknown", str(error))
        return HTMLResponse(told, headers=_SAFE)

    async def order(self, request: Request) -> Response:
        """Do what ``ringfence clients`` asks of a server that is running."""
        if not self._allowed(request, browser=False):
            return _closed()
        try:
            order = msgspec.json.decode(await request.body(), type=Order)
            done = await self.batcher.call(self.operations.perform, order)
        except msgspec.MsgspecError as error:
            return replies.error(400, "bad_order", str(error))
        except RingfenceError as error:
            return replies.plain({"error": "refused", "message": str(error)}, 400)
        return replies.plain(done)

    def _allowed(self, request: Request, *, browser: bool = True) -> bool:
        """Return whether the operator's key was sent, by a browser's dialogue or as a bearer.

        Orders are not taken from browsers: another site could make one send them.
        """
        scheme, _, text = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "basic" and browser:
            with suppress(binascii.Error, ValueError):
                text = base64.b64decode(text, validate=True).decode().partition(":")[2]
                return keys.fits(text, keys.digest(self.key))
        return scheme.lower() == "bearer" and keys.fits(text, keys.digest(self.key))


def _closed() -> Response:
    response = replies.error(
        401, "operator_only", "This is the operator's: user operator, and key."
    )
    response.headers["WWW-Authenticate"] = 'Basic realm="operator"'
    return response
