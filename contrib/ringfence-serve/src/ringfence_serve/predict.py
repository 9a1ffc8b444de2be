"""``POST /v1/predict``, straight on ASGI: a framework's layers take as long as an answer."""

from __future__ import annotations

import logging
import re
import time

from attrs import frozen
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from ringfence_serve import replies
from ringfence_serve.accounts import Account
from ringfence_serve.asks import Ask, Refusal
from ringfence_serve.batcher import Batcher, Full
from ringfence_serve.bodies import TooLarge, TooSlow, whole
from ringfence_serve.database import StoreUnavailable
from ringfence_serve.decode import BadRequest, Reader
from ringfence_serve.even import Even
from ringfence_serve.failpoints import failpoint
from ringfence_serve.limits import Rates
from ringfence_serve.metrics import Metrics

log = logging.getLogger(__name__)
ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
PREDICT = "/v1/predict"
Headers = dict[bytes, bytes]


@frozen(eq=False)
class Predict:
    """ASGI middleware that answers images, and hands on everything else."""

    app: ASGIApp
    batcher: Batcher
    reader: Reader
    rates: Rates
    metrics: Metrics
    body_seconds: float
    even: Even

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, and count what was answered, and for how long that took."""
        if scope["type"] != "http" or scope["path"] != PREDICT:
            await self.app(scope, receive, send)
            return
        if scope["method"] != "POST":
            await replies.wrong_method("POST")(scope, receive, send)
            return
        begun = time.perf_counter()
        reply = await self._reply(dict(scope["headers"]), receive)
        status = 200 if isinstance(reply, bytes) else reply.status_code
        self.metrics.answered(status, time.perf_counter() - begun)
        if isinstance(reply, bytes):
            await replies.send(reply, send)
        else:
            await reply(scope, receive, send)

    async def _reply(self, headers: Headers, receive: Receive) -> bytes | Response:
        """Return the JSON of answers, or an error."""
        try:
            return await self._answers(headers, receive)
        except (TooLarge, TooSlow) as error:
            return error.response
        except BadRequest as error:
            return replies.error(400, "bad_request", str(error))
        except Full:
            return replies.BUSY
        except StoreUnavailable as error:
            log.error("%s", error)
            return replies.error(503, "store", "Nothing can be answered just now.", wait=5)
        except Exception as error:
            log.exception("A request failed", exc_info=error)
            return replies.failed()

    async def _answers(self, headers: Headers, receive: Receive) -> bytes | Response:
        if self.batcher.full:  # before any work is done for it, or those who wait would wait longer
            return replies.BUSY
        body = await whole(headers, receive, self.reader.largest, self.body_seconds)
        arrived = time.perf_counter()
        account = self._client(headers)
        if account is None:
            return replies.error(401, "no_key", "Send Authorization: Bearer and your key.")
        id = _text(headers, b"idempotency-key") if b"idempotency-key" in headers else None
        if id is not None and not ID.fullmatch(id):
            return replies.error(400, "bad_id", "An id is 1 to 64 of A-Z, a-z, 0-9, - and _.")
        images = self.reader.read(_text(headers, b"content-type"), body)
        if wait := self.rates.wait(account.name, len(images), account.rate):
            return replies.error(429, "too_fast", "Ask more slowly.", wait=wait)
        reply = await self.batcher.submit(Ask(account.name, images, id))
        if isinstance(reply, Refusal):
            return replies.error(reply.status, reply.code, reply.message)
        failpoint("reply.before")
        told = replies.answers(reply)
        await self.even.wait(arrived)
        return told

    def _client(self, headers: Headers) -> Account | None:
        scheme, _, text = _text(headers, b"authorization").partition(" ")
        if scheme.lower() != "bearer":
            return None
        return self.batcher.engine.accounts.of_key(text.strip())


def _text(headers: Headers, name: bytes) -> str:
    return headers.get(name, b"").decode("latin-1")
