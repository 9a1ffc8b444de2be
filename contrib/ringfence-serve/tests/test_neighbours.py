"""What the guard talks to: a webhook, another server, the HTTP oracle's own service."""

from __future__ import annotations

import hashlib
import hmac
import json
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import click
import pytest
import torch
from guards import TIMID, add, body, headers, images, running
from ringfence_serve import guarded
from ringfence_serve.commands.serve import _quota, _rate
from ringfence_serve.limits import automatic_quota, automatic_rate
from ringfence_serve.oracle import Http
from ringfence_serve.settings import url_of
from ringfence_serve.store import SqlStore
from ringfence_serve.upstream import Upstream
from ringfence_serve.webhook import Webhook

from ringfence import plugins, weights
from ringfence.errors import BadOption, RingfenceError
from ringfence.testing import tiny_model


@contextmanager
def neighbour(answer):
    """Yield the address of a server that answers ``(status, bytes)`` to headers and body."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            sent = self.rfile.read(int(self.headers["Content-Length"]))
            status, told = answer(self.headers, sent)
            self.send_response(status)
            self.send_header("Content-Length", str(len(told)))
            self.end_headers()
            self.wfile.write(told)

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/it"
    server.shutdown()
    thread.join()
    server.server_close()


def test_an_alarm_is_told_until_it_is_heard(guard):
    heard = []

    def answer(head, sent):
        heard.append((head["Ringfence-Signature"], sent))
        return (500, b"") if len(heard) < 2 else (204, b"")

    with neighbour(answer) as url:
        client = guard()
        served = client.served
        hook = Webhook(url, served.batcher.engine.alarms, b"secret", seconds=0.01)
        client.post("/v1/predict", content=body(images(20)), headers=headers(client.key))
        task = client.portal.start_task_soon(hook.run, served.batcher)
        for _ in range(1000):
            if len(heard) == 2 and not client.portal.call(served.batcher.call, hook.alarms.untold):
                break
            time.sleep(0.01)
        task.cancel()
    assert len(heard) == 2
    told = json.loads(heard[1][1])
    assert (told["client"], told["detector"], told["number"]) == ("alice", "amao", 4)
    signed = hmac.digest(b"secret", heard[1][1], hashlib.sha256).hex()
    assert heard[1][0] == f"sha256={signed}"
    assert client.key.encode() not in heard[1][1]


def test_another_server_is_a_model_whose_logits_are_logarithms():
    model = tiny_model().eval()

    def answer(_, sent):
        told = json.loads(sent)["inputs"][0]
        with torch.no_grad():
            probs = model(torch.tensor(told["data"]).reshape(told["shape"])).softmax(-1)
        output = {
            "name": "p",
            "shape": list(probs.shape),
            "datatype": "FP32",
            "data": probs.flatten().tolist(),
        }
        return 200, json.dumps({"outputs": [output]}).encode()

    with neighbour(answer) as url, torch.no_grad():
        upstream, some = Upstream(url, 4), images(5)
        wanted = model(some).softmax(-1).double()
        torch.testing.assert_close(upstream(some).softmax(-1), wanted, atol=1e-6, rtol=0)
        upstream.pool.clear()
    with pytest.raises(RingfenceError, match="wants gradients"):
        upstream(some.clone().requires_grad_())


@pytest.mark.parametrize(
    ("told", "message"),
    [
        (b"{}", "gave no 4 probabilities"),
        (b'{"outputs": []}', "gave no 4 probabilities"),
        (b'{"outputs": [{"shape": [1, 3], "data": [0.1, 0.2, 0.7]}]}', "gave no 4 probabilities"),
        (b'{"outputs": [{"shape": [1, 4], "data": [3, -1, 0.5, 2]}]}', "apply softmax"),
    ],
)
def test_another_server_that_answers_otherwise_is_told_of(told, message):
    with neighbour(lambda *_: (200, told)) as url, torch.no_grad():
        upstream = Upstream(url, 4)
        with pytest.raises(RingfenceError, match=message):
            upstream(images(1))
        upstream.pool.clear()


def test_the_oracle_asks_as_each_client_and_gets_every_digit(tmp_path):
    lines = [f"{name} {add(tmp_path, name)}" for name in ("one", "two")]
    (tmp_path / "keys").write_text("\n".join(lines))
    some, clients = images(12), ["one", "one", "two"] * 4
    with running(tmp_path, options=TIMID) as (_, url):
        oracle = plugins.build("oracles", f"http:{url}", {"keyfile": str(tmp_path / "keys")})
        told = oracle.connect(lambda: None).answer(some, clients)
    store = SqlStore(url_of(tmp_path))
    wanted = __import__("guards").guarded(store, **TIMID).victim.model(some).double().softmax(-1)
    store.database.close()
    torch.testing.assert_close(told, wanted, atol=1e-6, rtol=0)
    assert told.dtype is torch.float64


def test_the_oracle_says_which_key_is_missing(tmp_path):
    (tmp_path / "keys").write_text("rf_x")
    remote = Http("http://127.0.0.1:9", tmp_path / "keys").connect(lambda: None)
    assert remote._key("a") == "rf_x"
    with pytest.raises(BadOption, match="no key for the client 'b'"):
        remote._key("b")
    with pytest.raises(BadOption, match=r"http\.url"):
        plugins.build("oracles", "http:ftp://x")


def test_the_operators_own_weights_are_guarded(tmp_path):
    import safetensors.torch

    net = plugins.build("models", "lenet5").make(10, (1, 28, 28))
    safetensors.torch.save_file(net.state_dict(), tmp_path / "own.safetensors")
    assert weights.read(tmp_path / "own.safetensors")
    store = SqlStore(url_of(tmp_path))
    given = {
        "dataset": "digits",
        "model": "lenet5",
        "defense": ("truncation",),
        "cache": str(tmp_path),
    }
    found = guarded.of_file(tmp_path / "own.safetensors", store, given, {})
    some = torch.rand(2, 1, 28, 28)
    with torch.no_grad():
        torch.testing.assert_close(found.victim.model(some), net.eval()(some))
    assert list(found.defenses) == ["truncation"]
    store.database.close()


def test_limits_follow_from_what_the_thief_needed():
    """A tenth of its queries for good; and a day for all of them."""
    assert automatic_quota(2000) == 200
    assert automatic_rate(43_200) == 0.5
    assert automatic_quota(None) is automatic_rate(None) is None
    assert (_rate("auto", 43_200), _rate("2.5", None), _rate("none", 9)) == (0.5, 2.5, None)
    assert (_quota("auto", 2000), _quota("7", None)) == (200, 7)
    for wrong in ("-1", "0", "nan", "inf", "x"):
        with pytest.raises(click.BadParameter, match="auto or none"):
            _rate(wrong, 9)
    for parse in (_rate, _quota):
        with pytest.raises(click.UsageError, match="is unknown"):
            parse("auto", None)
