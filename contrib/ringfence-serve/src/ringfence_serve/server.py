"""Puts a guard together, and serves it until it is told to stop."""

from __future__ import annotations

import gc
import hmac
import json
import socket
from pathlib import Path
from typing import Any, Literal

import attrs
import torch
import uvicorn
from attrs import field, frozen

from ringfence.answers import answer_format
from ringfence.atomic import write_text
from ringfence.provenance import version_of
from ringfence.selection import ask, manager
from ringfence.service import Service
from ringfence_serve import configuration, keys
from ringfence_serve.accounts import Accounts
from ringfence_serve.alarms import Alarms
from ringfence_serve.app import Server
from ringfence_serve.batcher import Batcher
from ringfence_serve.decode import Reader
from ringfence_serve.engine import Engine
from ringfence_serve.guarded import Guarded
from ringfence_serve.limits import Rates
from ringfence_serve.metrics import Metrics
from ringfence_serve.operations import Operations
from ringfence_serve.page import Page
from ringfence_serve.quick import quickened
from ringfence_serve.store import SqlStore
from ringfence_serve.webhook import Webhook

OPERATOR, ADDRESS, DATABASE, SECRET = "operator.key", "server.json", "guard.db", "secret.key"
ACCEPTED = 32  #: new connections that are taken before others are heard again
AUTO_SHARE = 10  #: an automatic quota is this part of the queries with which the model was stolen
AUTO_SECONDS = 24 * 3600  #: at an automatic rate a thief needs so long for what it needed


@frozen(kw_only=True)
class Settings:
    """How a guard serves."""

    state: Path  #: folder of its database and keys
    host: str = "127.0.0.1"
    port: int = 8000
    observe: bool = False
    quota: int | None = None
    rate: float | None = None
    queue: int = 1024
    most: int = 256
    repeats: Literal["same", "pipeline"] = "same"
    secret: Literal["own", "run"] = "own"
    webhook: str | None = field(default=None, repr=False)
    webhook_secret: bytes = field(default=b"", repr=False)
    body_seconds: float = 2.0
    connections: int = 1024


def url_of(state: Path) -> str:
    """Return the URL of the database in a guard's folder."""
    return f"sqlite:///{state / DATABASE}"


def make_service(guarded: Guarded, secret: bytes | None) -> Service:
    """Ask the defenses for detectors and responders; ``secret`` replaces what the seed gives."""
    pm = manager(guarded.selected)
    run, victim = guarded.run, guarded.victim

    def arguments(name: str) -> dict[str, Any]:
        view = run.for_defense(name, pm.get_plugin(name), victim.key)
        if secret is not None:
            view = attrs.evolve(view, secret=hmac.digest(secret, name.encode(), "sha256"))
        return {"run": view, "victim": victim.model}

    detectors, responders = (
        ask(pm, hook, arguments, guarded.skip, run.streams.scope("hooks"))
        for hook in ("make_detector", "make_responder")
    )
    model = quickened(victim.model)
    return Service(model, detectors, responders, run.store, answer_format(run.labels))


def make_server(guarded: Guarded, store: SqlStore, settings: Settings) -> Server:
    """Put everything together, and write down what serves from now on."""
    secret = None
    if settings.secret == "own":
        secret = keys.own(settings.state / SECRET).encode()
    service = make_service(guarded, secret)
    accounts, alarms, metrics = Accounts(store), Alarms(store), Metrics()
    with store.batch(()), store.database.failing():
        accounts.load()
        alarms.load()
        described = configuration.describe(guarded, service, settings.observe)
        store.configuration = configuration.record(store.chain, described)
    engine = Engine(
        service,
        store,
        accounts,
        alarms,
        observe=settings.observe,
        quota=settings.quota,
        repeats=settings.repeats,
        counted=metrics.counted,
    )
    _warm(guarded, service)
    told = metrics.batch.observe
    quick = guarded.source != "upstream" and store.database.file is not None  # both may hang
    batcher = Batcher(engine, settings.queue, settings.most, told, quick)
    webhook = None
    if settings.webhook:
        webhook = Webhook(settings.webhook, alarms, settings.webhook_secret)
    return Server(
        batcher=batcher,
        reader=Reader(guarded.run.image_shape, settings.most),
        classes=guarded.run.num_classes,
        rates=Rates(settings.rate),
        metrics=metrics,
        operations=Operations(store, accounts, alarms),
        page=Page(store, accounts, guarded.run.image_shape),
        operator_key=keys.own(settings.state / OPERATOR),
        version=version_of("ringfence-serve") or "0",
        body_seconds=settings.body_seconds,
        webhook=webhook,
    )


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


def automatic_quota(cost: int | None) -> int | None:
    """Return a tenth of what a thief needed; nothing where that is unknown."""
    return None if cost is None else max(1, cost // AUTO_SHARE)


def automatic_rate(cost: int | None) -> float | None:
    """Return a rate at which a thief needs a day: who sees an alarm can do something about it."""
    return None if cost is None else cost / AUTO_SECONDS


def _warm(guarded: Guarded, service: Service) -> None:
    """Let the model answer once: its first answer takes far longer than others."""
    with torch.no_grad():
        service.model(torch.zeros(1, *guarded.run.image_shape, device=guarded.run.device))
