"""A guard that starts in milliseconds: a linear model of 8x8 images behind AMAO."""

from __future__ import annotations

import base64
import multiprocessing
import time
from contextlib import contextmanager
from pathlib import Path

import attrs
import msgspec
import torch
import urllib3
from ringfence_serve import failpoints
from ringfence_serve.assembly import make_server
from ringfence_serve.direct import perform
from ringfence_serve.guarded import Guarded
from ringfence_serve.operations import Order
from ringfence_serve.server import serve
from ringfence_serve.settings import Settings, url_of
from ringfence_serve.store import SqlStore

from ringfence import plugins
from ringfence.testing import tiny_experiment, tiny_model
from ringfence.victims import given_victim

#: every query is flagged, so that a client is suspected from its fifth on
WARY = {"threshold": 0.99, "temperature": 1.0, "min_queries": 5, "share_flagged": 0.1, "period": 4}
TIMID = {"threshold": 0.01, "temperature": 1.0, "share_flagged": 0.5}  #: nobody is suspected


def guarded(store, labels="soft", defense="amao", **options):
    """Return a tiny victim behind a defense."""
    run = attrs.evolve(tiny_experiment(), store=store, labels=labels)
    torch.manual_seed(7)
    model = tiny_model()
    run = attrs.evolve(run, given=model, spec={"dataset": "tiny", "model": "lenet5"})
    selected = {defense: plugins.build("defenses", defense, options)} if defense else {}
    return Guarded(run, selected, (), given_victim(run, model), "file", 2000)


def server(folder, **settings):
    """Return a server that is not listening yet."""
    options = {**WARY, **settings.pop("options", {})}
    labels = settings.pop("labels", "soft")
    store = SqlStore(url_of(folder))
    return make_server(guarded(store, labels, **options), store, Settings(state=folder, **settings))


def add(folder, name, **limits):
    """Add a client beside a guard that is not running; return its key."""
    return perform(folder, None, Order(action="add", name=name, **limits))["key"]


def images(count, seed=0):
    random = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, 1, 8, 8), generator=random).float() / 255


def body(some):
    """Return a request for images as JSON."""
    rows = [base64.b64encode(one.numpy().tobytes()).decode() for one in some]
    return msgspec.json.encode({"pixels": rows})


def headers(key, **more):
    return {"Authorization": f"Bearer {key}", "Content-Type": "application/json", **more}


def listen(folder, settings, options, dies):
    """Serve in this process: the target of another one."""
    torch.set_num_threads(1)
    failpoints.arm(dies)
    store = SqlStore(url_of(folder))
    serve(guarded(store, **{**WARY, **options}), store, Settings(state=folder, port=0, **settings))


@contextmanager
def running(folder, settings=None, options=None, dies=""):
    """Yield a process that serves, and its address."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["ringfence_serve.server", "guards"])
    address = Path(folder) / "server.json"
    address.unlink(missing_ok=True)
    process = context.Process(target=listen, args=(folder, settings or {}, options or {}, dies))
    process.start()
    try:
        url = _address(process, address)
        yield process, url
    finally:
        if process.is_alive():
            process.terminate()
        process.join(20)
        if process.is_alive():
            process.kill()
        process.join()


def _address(process, file):
    for _ in range(1200):
        if file.exists():
            return msgspec.json.decode(file.read_bytes())["url"]
        if not process.is_alive():
            raise RuntimeError(f"the server ended with {process.exitcode}")
        time.sleep(0.05)
    raise RuntimeError("the server did not start in a minute")


def pool():
    return urllib3.PoolManager(retries=False, timeout=30.0)


def ask(http, url, key, some, **more):
    """Return the status and the decoded reply."""
    reply = http.request("POST", f"{url}/v1/predict", body=body(some), headers=headers(key, **more))
    return reply.status, msgspec.json.decode(reply.data)
