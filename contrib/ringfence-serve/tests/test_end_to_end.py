"""A guard over HTTP does what the same run does in one process, and convicts after a restart."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from attrs import evolve
from ringfence_serve.settings import url_of
from ringfence_serve.store import SqlStore

from ringfence import exhibit

BENIGN = ("benign-00", "benign-01")
CASES = {"knockoffnet": "1500", "jbdatr": "800"}


class Bench:
    """Commands in processes of their own, with one cache."""

    def __init__(self, folder):
        self.folder = folder
        env = {**os.environ, "RINGFENCE_CACHE": str(folder / "cache"), "OMP_NUM_THREADS": "1"}
        self.env = {**env, "PYTHONPATH": os.pathsep.join(sys.path)}

    def call(self, *args):
        command = [sys.executable, "-m", *args]
        done = subprocess.run(
            command, cwd=self.folder, env=self.env, capture_output=True, text=True, timeout=3000
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    @contextmanager
    def serving(self, *args):
        command = [sys.executable, "-m", "ringfence", "serve", *args, "--port", "0"]
        with subprocess.Popen(
            command, cwd=self.folder, env=self.env, stdout=subprocess.PIPE
        ) as one:
            try:
                yield one.stdout.readline().decode().split()[-1]
            finally:
                one.terminate()
                one.wait(60)


def compare(folder, state):
    """Return how many marks the run in one process has; assert that the guard has the same."""
    wanted = exhibit.load(folder / "ledger").ledger
    store = SqlStore(url_of(state))
    for client in ("attacker-0", *BENIGN):
        for kind in ("flipped", "replayed"):
            mine, theirs = (
                in_order(one.pairs(client, "amao", kind)) for one in (store.ledger, wanted)
            )
            assert mine.clients == theirs.clients
            if not len(theirs):
                continue
            assert torch.equal(mine.images, theirs.images)
            assert torch.equal(mine.answers.argmax(-1), theirs.answers.argmax(-1))
            torch.testing.assert_close(mine.answers, theirs.answers, atol=1e-6, rtol=0)
    assert len(store.ledger.pairs()) == len(wanted.pairs())
    store.database.close()
    return len(wanted.pairs())


def in_order(pairs):
    """Return pairs by their images: batches of other sizes write them in another order."""
    keys = [image.numpy().tobytes() for image in pairs.images]
    order = sorted(range(len(keys)), key=keys.__getitem__)
    return (
        pairs
        if not order
        else evolve(pairs, images=pairs.images[order], answers=pairs.answers[order])
    )


@pytest.mark.slow
@pytest.mark.parametrize("attack", CASES)
def test_a_guard_over_http_is_the_run_and_convicts_after_a_restart(tmp_path, attack):
    bench, state = Bench(tmp_path), tmp_path / "guard"
    same = ["--dataset", "digits", "--attack", attack, "--budget", CASES[attack], "--threads", "1"]
    same += ["--benign-clients", "2"]
    bench.call("ringfence", "run", *same, "--defense", "amao", "--out", "run")
    names = ("attacker-0", *BENIGN)
    keys = [f"{n} {bench.call('ringfence', 'clients', 'add', n).strip()}" for n in names]
    (tmp_path / "keys").write_text("\n".join(keys), encoding="ascii")
    named = {"dataset": "digits", "attack": attack, "benign_clients": 2, "threads": 1}
    with bench.serving("run", "--secret", "run", "--repeats", "pipeline") as url:
        http = ["--oracle", "http", "-o", f"http.url={url}", "-o", "http.keyfile=keys"]
        thief = subprocess.Popen(
            [sys.executable, "-m", "ringfence", "run", *same, *http, "--out", "theft"],
            cwd=tmp_path,
            env=bench.env,
        )
        ordinary = str(Path(__file__).parent / "ordinary.py")
        told = subprocess.run(
            [sys.executable, ordinary, url, "keys", json.dumps(named)],
            cwd=tmp_path,
            env=bench.env,
            check=True,
            capture_output=True,
        ).stdout
        assert thief.wait(3000) == 0
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert float(told) == pytest.approx(result["benign"]["accuracy"], abs=1e-9)
    assert compare(tmp_path / "run", state) > 20
    theft = json.loads((tmp_path / "theft" / "result.json").read_text())
    wanted = result["substitute"]["accuracy"]
    assert theft["substitute"]["accuracy"] == pytest.approx(wanted, abs=0.02)

    with bench.serving("run", "--secret", "run"):
        time.sleep(1)  # a restart, and nothing asked
    bench.call("ringfence", "run", *same, "--seed", "1", "--out", "innocent")
    court = ["--ledger", f"sql:{url_of(state)}", "--verifier", "amao", "--json"]
    controls = [f"--control=innocent/stages/{stage}" for stage in ("victim", "attack")]
    found = json.loads(
        bench.call("ringfence", "verify", "--suspect", "theft/stages/attack", *controls, *court)
    )
    verdicts = {one["suspect"]: one["stolen"] for one in found["evidence"]}
    assert verdicts.pop("theft/stages/attack")
    assert not any(verdicts.values())
