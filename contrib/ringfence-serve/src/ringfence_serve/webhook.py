"""Tells somebody else of alarms: each at least once, again until it was heard."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import logging
from typing import Any

import msgspec
import urllib3
from attrs import define, field

from ringfence.errors import BadOption, RingfenceError
from ringfence_serve.alarms import Alarms
from ringfence_serve.batcher import Batcher

log = logging.getLogger(__name__)
SECONDS, LONGEST = 1.0, 300.0  #: between two looks; at most, while nobody hears
SIGNATURE = "Ringfence-Signature"


@define(eq=False)
class Webhook:
    """Sends alarms as JSON to one address, signed if there is a secret."""

    url: str = field(repr=False)
    alarms: Alarms
    secret: bytes = field(default=b"", repr=False)
    seconds: float = SECONDS
    _pool: urllib3.PoolManager = field(init=False)

    @url.validator
    def _is_address(self, _: Any, url: str) -> None:
        if not url.startswith(("http://", "https://")):
            raise BadOption("A webhook is an address with http:// or https://.")

    @_pool.default
    def _make_pool(self) -> urllib3.PoolManager:
        return urllib3.PoolManager(retries=False, timeout=5.0)

    async def run(self, batcher: Batcher) -> None:
        """Look for alarms until cancelled; wait longer after each failure."""
        wait = self.seconds
        while True:
            await asyncio.sleep(wait)
            heard = await self._round(batcher)
            wait = self.seconds if heard else min(2 * wait, LONGEST)

    async def _round(self, batcher: Batcher) -> bool:
        """Send what is there; return whether all of it was heard."""
        try:
            untold = await batcher.call(self.alarms.untold)
            for alarm in untold:
                if not await asyncio.to_thread(self.send, alarm):
                    return False
                await batcher.call(self.alarms.told, [alarm["id"]])
        except RingfenceError as error:
            log.warning("Alarms wait: %s", error)
            return False
        return True

    def send(self, alarm: dict[str, Any]) -> bool:
        """Send one alarm; return whether it was heard."""
        body = msgspec.json.encode({k: v for k, v in alarm.items() if k != "told"})
        headers = {"Content-Type": "application/json"}
        if self.secret:
            headers[SIGNATURE] = "sha256=" + hmac.digest(self.secret, body, hashlib.sha256).hex()
        try:
            reply = self._pool.request("POST", self.url, body=body, headers=headers)
        except urllib3.exceptions.HTTPError as error:
            log.warning(
                "The webhook was not reached (%s); it is tried again.", type(error).__name__
            )
            return False
        return 200 <= reply.status < 300
