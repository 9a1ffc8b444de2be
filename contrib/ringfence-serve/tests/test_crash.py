"""Whatever kills the guard: a reply that a client saw is in the evidence, once."""

from __future__ import annotations

import os
import random
import secrets
import signal
import threading
import time

import pytest
import torch
import urllib3
from guards import WARY, add, ask, guarded, images, pool, running
from ringfence_serve import pixels, schema
from ringfence_serve.chain import check
from ringfence_serve.failpoints import NAMES
from ringfence_serve.settings import url_of
from ringfence_serve.store import SqlStore

from ringfence.memorystore import MemoryStore

CLIENTS = 4


class Clients:
    """Ask one image after the other, each until it is answered, whoever dies meanwhile."""

    def __init__(self, keys, each):
        self.keys, self.each = keys, each
        self.url = None
        self.seen = {name: [] for name in keys}  #: images with the replies that came
        self.stop = threading.Event()
        self.threads = [threading.Thread(target=self._ask, args=(name,)) for name in keys]
        self.failed = []

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        for thread in self.threads:
            thread.join(240)

    @property
    def replies(self):
        return sum(map(len, self.seen.values()))

    @property
    def done(self):
        return not any(thread.is_alive() for thread in self.threads)

    def _ask(self, name):
        http = pool()
        for one in images(self.each, seed=int(name[1:]) + 1):
            id = secrets.token_urlsafe(8)
            while not self.url or not self._answered(http, name, one, id):
                time.sleep(0.02)

    def _answered(self, http, name, one, id):
        try:
            status, told = ask(
                http, self.url, self.keys[name], one[None], **{"Idempotency-Key": id}
            )
        except (urllib3.exceptions.HTTPError, TypeError):
            return False  # nobody is there
        if status != 200:
            self.failed.append((status, told))
            return status not in (409, 503)
        self.seen[name].append((one, told["answers"][0]["probabilities"]))
        return True


def kills(folder, count, each):
    """Let clients ask while the guard is killed ``count`` times; return what they saw."""
    chosen = random.Random(0)  # a place is passed once a batch, and all clients may be in one
    clients = Clients({f"c{n}": add(folder, f"c{n}") for n in range(CLIENTS)}, each)
    killed = 0
    with clients:
        while not clients.done:
            last = killed == count
            dies = (
                ""
                if last or killed % 2
                else f"{NAMES[killed // 2 % len(NAMES)]}:{chosen.randint(2, min(60, each // 4))}"
            )
            with running(folder, {"repeats": "pipeline"}, dies=dies) as (process, url):
                clients.url = url
                if last:
                    while not clients.done:
                        time.sleep(0.05)
                    break
                if not dies:
                    begun = clients.replies
                    while clients.replies < begun + chosen.randint(5, each) and not clients.done:
                        time.sleep(0.005)
                    os.kill(process.pid, signal.SIGKILL)
                process.join(60)
                assert process.exitcode == -signal.SIGKILL
                killed += 1
    assert killed == count
    assert not clients.failed
    return clients


def refute(folder, clients):
    """Look for a reply that is not in the evidence, or is there twice, or torn."""
    store = SqlStore(url_of(folder))
    execute = store.database.connection().execute
    assert store.database.connection().exec_driver_sql("pragma integrity_check").scalar() == "ok"
    check(store.chain.entries())
    kept = {}
    for row in execute(schema.queries.select()):
        kept.setdefault((row.client, row.image), []).append(pixels.heard(row.answer).tolist())
    marked = {}
    pairs = store.ledger.pairs()
    for image, answer, client in zip(pairs.images, pairs.answers, pairs.clients, strict=True):
        marked[client, pixels.digests([client], image[None].numpy())[0]] = answer.tolist()
    victim = guarded(MemoryStore(), **WARY).victim.model
    missing = altered = 0
    for name, seen in clients.seen.items():
        honest = victim(torch.stack([image for image, _ in seen])).double().softmax(-1)
        for (image, answer), plain in zip(seen, honest, strict=True):
            key = (name, pixels.digests([name], image[None].numpy())[0])
            missing += kept.get(key) != [answer]
            if (torch.tensor(answer) - plain).abs().max() > 1e-6:
                altered += 1
                missing += marked.get(key) != answer
    store.database.close()
    return missing, altered


def test_a_reply_that_was_seen_survives_kills(tmp_path):
    clients = kills(tmp_path, 3, 60)
    missing, altered = refute(tmp_path, clients)

    assert clients.replies == CLIENTS * 60
    assert missing == 0
    assert altered > 20, "else the evidence was not put to the test"


@pytest.mark.slow
def test_forty_kills_and_ten_thousand_replies(tmp_path):
    clients = kills(tmp_path, 40, 2500)
    missing, altered = refute(tmp_path, clients)

    assert clients.replies >= 10_000
    assert missing == 0
    assert altered > 1000
