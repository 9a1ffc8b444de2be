"""Serves a guard until it is told to stop."""

from __future__ import annotations

import gc
import json
import socket
from typing import Any

import uvicorn

from ringfence.atomic import write_text
from ringfence_serve.assembly import make_server
from ringfence_serve.guarded import Guarded
from ringfence_serve.settings import ADDRESS, Settings
from ringfence_serve.store import SqlStore

ACCEPTED = 32  #: new connections that are taken before others are heard again


def serve(guarded: Guarded, store: SqlStore, settings: Settings) -> None:
    """Serve until a signal ends it."""
    made = make_server(guarded, store, settings)
    config = uvicorn.Config(
        made.app(),
        host=settings.host,
        port=settings.port,
        log_level="warning",
        access_log=False,  # addresses of requests and their headers are nobody's
        server_header=False,
        proxy_headers=False,  # nobody asks for the address of a client
        limit_concurrency=settings.connections,
        timeout_keep_alive=20,
    )
    gc.collect()
    gc.freeze()  # a full collection over PyTorch's objects takes 90 ms
    gc.set_threshold(10_000, 20, 20)  # a request makes some hundred objects, and hardly a cycle
    try:
        _Told(config, settings).run(_listening(config))
    finally:
        store.database.close()


def _listening(config: uvicorn.Config) -> list[socket.socket]:
    """Return one listening socket many times over.

    The loop takes one new connection a turn from each: under load a turn takes 30 ms, and who
    connects would wait for all who connected before.
    """
    listening = config.bind_socket()
    return [listening, *(listening.dup() for _ in range(ACCEPTED - 1))]


class _Told(uvicorn.Server):
    """A server that writes down its address, once it has one."""

    def __init__(self, config: uvicorn.Config, settings: Settings) -> None:
        super().__init__(config)
        self.settings = settings

    async def startup(self, sockets: Any = None) -> None:
        await super().startup(sockets)
        if self.started:
            address = self.servers[0].sockets[0].getsockname()
            url = f"http://{address[0]}:{address[1]}"
            write_text(self.settings.state / ADDRESS, json.dumps({"url": url}) + "\n")
            print(f"Serving {url}", flush=True)
