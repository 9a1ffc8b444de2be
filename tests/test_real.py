"""The real thing in a shorter form: MNIST, thousands of queries, floors that mean something."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

DATA = Path(__file__).parents[2] / "shared" / "data"
SHORT = ["run", "--dataset", "mnist", "--attack", "knockoffnet", "--budget", "6000", "--json"]
SHORT += ["-o", "training.epochs=5", "-o", "knockoffnet.epochs=15", "--data-root", str(DATA)]
# The default optimiser needs the full number of steps: see docs/plugins/knockoffnet.md.
SHORT += ["-o", "knockoffnet.optimizer=adam", "-o", "knockoffnet.lr=0.001", "--threads", "1"]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not DATA.exists(), reason="needs the real image sets beside the checkout"),
]


def run(*args):
    command = [sys.executable, "-m", "ringfence", *SHORT, *args]  # a process whose memory counts
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module", autouse=True)
def one_cache_for_all(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RINGFENCE_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(autouse=True)
def own_cache(one_cache_for_all):
    """Take the place of the fixture that gives every test a cache of its own."""


@pytest.mark.parametrize(("labels", "floor"), [("soft", 0.45), ("hard", 0.33)])
def test_knockoffnet_steals_mnist(labels, floor):
    result = run("--labels", labels)

    assert result["victim"]["accuracy"] >= 0.985
    assert result["attack"]["queries"] == 6000
    assert result["substitute"]["accuracy"] >= floor
    assert result["seconds"]["peak_memory_mib"] < 1500


def test_deceptive_answers_cost_the_thief_and_no_benign_client():
    plain, guarded = run(), run("--defense", "deceptive")

    assert guarded["substitute"]["accuracy"] < plain["substitute"]["accuracy"]
    assert guarded["benign"]["changed"] == 0
    assert guarded["responders"]["deceptive"]["changed"] == 0
    assert guarded["responders"]["deceptive"]["l1"] > 0.5
