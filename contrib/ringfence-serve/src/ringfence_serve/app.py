"""The routes: what a client may ask, what an operator sees."""

from __future__ import annotations

import asyncio
import base64
import binascii
import logging
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress

import msgspec
from attrs import define, field
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from ringfence.errors import RingfenceError
from ringfence_serve import keys, openapi, replies
from ringfence_serve.accounts import Account
from ringfence_serve.asks import Ask, Refusal
from ringfence_serve.batcher import Batcher, Full
from ringfence_serve.bodies import Bodies
from ringfence_serve.database import StoreUnavailable
from ringfence_serve.decode import BadRequest, Reader
from ringfence_serve.failpoints import failpoint
from ringfence_serve.limits import Rates
from ringfence_serve.metrics import Metrics
from ringfence_serve.operations import Operations, Order
from ringfence_serve.page import Page
from ringfence_serve.webhook import Webhook

log = logging.getLogger(__name__)
ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
PREDICT, OPERATOR = "/v1/predict", "/operator"


@define(eq=False)
class Server:
    """All that answers over HTTP."""

    batcher: Batcher
    reader: Reader
    classes: int
    rates: Rates
    metrics: Metrics
    operations: Operations
    page: Page
    operator_key: str = field(repr=False)
    version: str = "0"
    body_seconds: float = 2.0
    webhook: Webhook | None = None

    def app(self) -> Starlette:
        """Return the ASGI application."""
        routes = [
            Route(PREDICT, self._measured(self.predict), methods=["POST"]),
            Route("/healthz", self.alive),
            Route("/readyz", self.ready),
            Route("/metrics", self.figures),
            Route("/openapi.json", self.described),
            Route(OPERATOR, self.overview),
            Route(OPERATOR + "/clients/{name}", self.client),
            Route(OPERATOR + "/orders", self.order, methods=["POST"]),
        ]
        bodies = Middleware(Bodies, largest=self.reader.largest, seconds=self.body_seconds)
        return Starlette(
            routes=routes,
            middleware=[bodies],
            lifespan=self._life,
            exception_handlers={Exception: _failed, 404: _missing, 405: _not_so},
        )

    @asynccontextmanager
    async def _life(self, app: Starlette) -> AsyncIterator[None]:
        jobs: list[Awaitable[None]] = [self.batcher.run()]
        if self.webhook:
            jobs.append(self.webhook.run(self.batcher))
        tasks = [asyncio.ensure_future(job) for job in jobs]
        yield
        for task in tasks:
            task.cancel()
        for task in tasks:
            with suppress(asyncio.CancelledError):
                await task
        self.batcher.close()

    def _measured(
        self, handler: Callable[[Request], Awaitable[Response]]
    ) -> Callable[[Request], Awaitable[Response]]:
        """Count what a handler answers, and for how long it was at it."""

        async def measured(request: Request) -> Response:
            begun = time.perf_counter()
            response = await handler(request)
            self.metrics.answered(response.status_code, time.perf_counter() - begun)
            return response

        return measured

    async def predict(self, request: Request) -> Response:
        """Answer images."""
        account = self._client(request)
        if account is None:
            return replies.error(401, "no_key", "Send Authorization: Bearer and your key.")
        id = request.headers.get("idempotency-key")
        if id is not None and not ID.fullmatch(id):
            return replies.error(400, "bad_id", "An id is 1 to 64 of A-Z, a-z, 0-9, - and _.")
        try:
            kind = request.headers.get("content-type", "")
            images = self.reader.read(kind, await request.body())
        except BadRequest as error:
            return replies.error(400, "bad_request", str(error))
        if wait := self.rates.wait(account.name, len(images), account.rate):
            return replies.error(429, "too_fast", "Ask more slowly.", wait=wait)
        try:
            reply = await self.batcher.submit(Ask(account.name, images, id))
        except Full:
            return replies.error(503, "busy", "Too many queries are waiting.", wait=1)
        except StoreUnavailable as error:
            log.error("%s", error)
            return replies.error(503, "store", "Nothing can be answered just now.", wait=5)
        if isinstance(reply, Refusal):
            return replies.error(reply.status, reply.code, reply.message)
        failpoint("reply.before")
        return replies.answers(reply)

    def _client(self, request: Request) -> Account | None:
        scheme, _, text = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            return None
        return self.batcher.engine.accounts.of_key(text.strip())

    async def alive(self, request: Request) -> Response:
        """Say that the process runs."""
        return replies.plain({"status": "alive"})

    async def ready(self, request: Request) -> Response:
        """Say whether queries would be answered: the queue has room, the store answers."""
        if self.batcher.waiting >= self.batcher.bound:
            return replies.error(503, "busy", "Too many queries are waiting.", wait=1)
        try:
            await self.batcher.call(self.operations.head)
        except RingfenceError:
            return replies.error(503, "store", "Nothing can be answered just now.", wait=5)
        return replies.plain({"status": "ready"})

    async def figures(self, request: Request) -> Response:
        """Answer Prometheus."""
        self.metrics.waiting.set(self.batcher.waiting)
        return Response(self.metrics.text(), media_type="text/plain; version=0.0.4")

    async def described(self, request: Request) -> Response:
        """Return the OpenAPI document."""
        return replies.plain(openapi.document(self.reader, self.classes, self.version))

    async def overview(self, request: Request) -> Response:
        """Show all clients, those under suspicion first."""
        if not self._operator(request):
            return _closed()
        return HTMLResponse(await self.batcher.call(self.page.overview), headers=_SAFE)

    async def client(self, request: Request) -> Response:
        """Show one client's history."""
        if not self._operator(request):
            return _closed()
        try:
            told = await self.batcher.call(self.page.client, request.path_params["name"])
        except RingfenceError as error:
            return replies.error(404, "unknown", str(error))
        return HTMLResponse(told, headers=_SAFE)

    async def order(self, request: Request) -> Response:
        """Do what ``ringfence clients`` asks of a server that is running."""
        if not self._operator(request, browser=False):
            return _closed()
        try:
            order = msgspec.json.decode(await request.body(), type=Order)
            done = await self.batcher.call(self.operations.perform, order)
        except msgspec.MsgspecError as error:
            return replies.error(400, "bad_order", str(error))
        except RingfenceError as error:
            return Response(msgspec.json.encode({"error": "refused", "message": str(error)}), 400)
        return replies.plain(done)

    def _operator(self, request: Request, *, browser: bool = True) -> bool:
        """Return whether the operator's key was sent, by a browser's dialogue or as a bearer.

        Orders are not taken from browsers: another site could make one send them.
        """
        scheme, _, text = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "basic" and browser:
            with suppress(binascii.Error, ValueError):
                text = base64.b64decode(text, validate=True).decode().partition(":")[2]
                return keys.fits(text, keys.digest(self.operator_key))
        return scheme.lower() == "bearer" and keys.fits(text, keys.digest(self.operator_key))


_SAFE = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; img-src data:",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


def _closed() -> Response:
    response = replies.error(
        401, "operator_only", "This is the operator's: user operator, and key."
    )
    response.headers["WWW-Authenticate"] = 'Basic realm="operator"'
    return response


async def _failed(request: Request, error: Exception) -> Response:
    log.exception("A request failed", exc_info=error)
    return replies.error(500, "failed", "The request failed. The operator's log says why.")


async def _missing(request: Request, error: Exception) -> Response:
    return replies.error(404, "unknown", f"Nothing is here. Ask {PREDICT}.")


async def _not_so(request: Request, error: Exception) -> Response:
    response = replies.error(405, "method", "Use another method.")
    allowed: Mapping[str, str] = getattr(error, "headers", None) or {}
    response.headers["Allow"] = allowed.get("Allow", "GET")
    return response
