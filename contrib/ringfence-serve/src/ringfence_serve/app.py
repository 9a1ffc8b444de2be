"""The server: answers to images, the operator's part, health, figures, its description."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Mapping
from contextlib import asynccontextmanager, suppress

from attrs import define, field
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from ringfence.errors import RingfenceError
from ringfence_serve import openapi, replies
from ringfence_serve.batcher import Batcher
from ringfence_serve.bodies import Bodies
from ringfence_serve.decode import Reader
from ringfence_serve.even import Even
from ringfence_serve.limits import Rates
from ringfence_serve.metrics import Metrics
from ringfence_serve.operations import Operations
from ringfence_serve.operator_routes import OperatorRoutes
from ringfence_serve.page import Page
from ringfence_serve.predict import PREDICT, Predict
from ringfence_serve.webhook import Webhook

log = logging.getLogger(__name__)


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
    even_seconds: float = 0.0
    webhook: Webhook | None = None

    def app(self) -> ASGIApp:
        """Return the ASGI application."""
        own = OperatorRoutes(self.batcher, self.operations, self.page, self.operator_key)
        routes = [
            Route("/healthz", self.alive),
            Route("/readyz", self.ready),
            Route("/metrics", self.figures),
            Route("/openapi.json", self.described),
            *own.routes(),
        ]
        bodies = Middleware(Bodies, largest=self.reader.largest, seconds=self.body_seconds)
        others = Starlette(
            routes=routes,
            middleware=[bodies],
            lifespan=self._life,
            exception_handlers={Exception: _failed, 404: _missing, 405: _not_so},
        )
        told = (self.batcher, self.reader, self.rates, self.metrics, self.body_seconds)
        return Predict(others, *told, Even(self.even_seconds))

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

    async def alive(self, request: Request) -> Response:
        """Say that the process runs."""
        return replies.plain({"status": "alive"})

    async def ready(self, request: Request) -> Response:
        """Say whether queries would be answered: the queue has room, the store answers."""
        if self.batcher.full:
            return replies.BUSY
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


async def _failed(request: Request, error: Exception) -> Response:
    log.exception("A request failed", exc_info=error)
    return replies.failed()


async def _missing(request: Request, error: Exception) -> Response:
    return replies.error(404, "unknown", f"Nothing is here. Ask {PREDICT}.")


async def _not_so(request: Request, error: Exception) -> Response:
    allowed: Mapping[str, str] = getattr(error, "headers", None) or {}
    return replies.wrong_method(allowed.get("Allow", "GET"))
