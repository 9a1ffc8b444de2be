"""Puts a guard together: what answers, what remembers, what is told."""

from __future__ import annotations

import hmac
from typing import Any

import attrs
import torch

from ringfence.answers import answer_format
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
from ringfence_serve.settings import OPERATOR, SECRET, Settings
from ringfence_serve.store import SqlStore
from ringfence_serve.webhook import Webhook


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
        even_seconds=settings.even / 1000,
        webhook=webhook,
    )


def _warm(guarded: Guarded, service: Service) -> None:
    """Let the model answer once: its first answer takes far longer than others."""
    with torch.no_grad():
        service.model(torch.zeros(1, *guarded.run.image_shape, device=guarded.run.device))
