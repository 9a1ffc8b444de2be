"""The share of benign clients that would ever be suspected, by every kind of S."""

from __future__ import annotations

import json
from pathlib import Path

import attrs
import numpy as np
import pytest
from attrs import evolve

from ringfence.flags import BinomialNoise, FixedShare, Suspicion
from ringfence.launch import launch
from ringfence.memorystore import MemoryStore
from ringfence.pipeline import run_experiment
from ringfence.plugins import build, find, load
from ringfence.testing import tiny_experiment
from ringfence_amao import Amao, innocents

DOCS = Path(__file__).parents[2] / "docs"
KEPT = ("own", "cumulative", "windowed", "anytime")  #: what must hold the bound; not the paper's


def test_its_kinds_are_the_plugin_s_with_default_options():
    run = tiny_experiment().for_defense("it")
    own = Suspicion(MemoryStore().of("it"), FixedShare(0.3), 7, 9)
    options = {field.name: field.default for field in attrs.fields(Amao)}

    found = innocents.kinds(own, 0.25)

    assert found["own"] is own
    assert (options["tail"], options["window"]) == (innocents.TAIL, innocents.WINDOW)
    for kind in KEPT[1:]:
        detector = Amao(threshold=0.5, suspicion=kind).make_detector(run, run.new_model().eval())
        rate, queries = detector.found["highest_rate"], np.arange(1, 300)
        same = innocents.kinds(own, rate)[kind]
        assert (same.limits(queries) == detector.suspicion.limits(queries)).all()
        assert same.window == detector.suspicion.window


def test_the_metric_judges_the_detector_s_flags_on_test_images(monkeypatch):
    monkeypatch.setattr(innocents, "CLIENTS", 20)
    run = evolve(tiny_experiment(), metrics={"it": innocents.false_suspicions})
    thief = build("attacks", "knockoffnet", {"epochs": 1})
    plugin = Amao(epsilon=0.0, threshold=0.4, share_flagged=0.999)
    result = run_experiment(run, {"amao": plugin, "thief": thief}, skip=["amao.verify"])
    told = result["metrics"]["it"]["amao"]

    assert told["test_rate"] == told["validation_rate"] > 0  # the tiny run has one set for both
    assert told["clients"] == 20
    assert set(told["suspected"]) == {*KEPT, "paper"}
    assert all(one["clients"] == 0 for one in told["suspected"]["own"].values())
    assert told["suspected"]["paper"]["2000"]["rate"] == 1


def test_limits_for_too_low_a_rate_are_found_out():
    own = Suspicion(MemoryStore().of("it"), BinomialNoise(0.1, 1e-6), 50, 100)
    flags = np.random.default_rng(0).random(2000) < 0.2  # drifted: twice the rate

    found = innocents.by_kind(own, 0.1, flags, 200, seed=0)

    assert all(found[kind]["2000"]["upper"] > 1e-2 for kind in KEPT)


def test_it_is_installed():
    assert load(find("metrics", "falsesuspicion")) is innocents.false_suspicions


@pytest.mark.slow
def test_hardly_a_benign_client_is_ever_suspected(victims):
    """On digits, with a detector that was calibrated on its validation images."""
    result = launch({
        "dataset": "digits", "attack": "knockoffnet", "budget": 200, "threads": 1,
        "defense": ("amao",), "skip": ("amao.respond", "amao.verify"), "cache": victims,
        "metric": ("falsesuspicion",),
        "options": {"training": {"epochs": 80, "batch_size": 128}, "amao": {"attack": "fgsm_rs"}},
    })  # fmt: skip
    told = result["metrics"]["falsesuspicion"]["amao"]["suspected"]

    assert {kind: max(one["upper"] for one in told[kind].values()) <= 1e-3 for kind in KEPT} == (
        dict.fromkeys(KEPT, True)
    )
    assert told["paper"]["500"]["rate"] > 0.5, "what is too strict is found out"


def results():
    lines = (DOCS / "results" / "amao-falsesuspicion-mnist.jsonl").read_text().splitlines()
    return [json.loads(line)["metrics"]["falsesuspicion"]["amao"] for line in lines]


def rows_of_the_page():
    """Return the rows of the table in docs/plugins/amao.md: clients suspected, by seed."""
    for kind in (*KEPT[1:], "paper"):
        cells = [
            " / ".join(f"{told['suspected'][kind][str(length)]['clients']:,}" for told in results())
            for length in innocents.LENGTHS
        ]
        yield f"| {kind} | {' | '.join(cells)} |"


def test_the_page_says_what_the_result_file_says():
    page = (DOCS / "plugins" / "amao.md").read_text()

    assert [row for row in rows_of_the_page() if row not in page] == []


def test_hardly_a_benign_client_was_ever_suspected_on_mnist():
    told = [one["suspected"][kind] for one in results() for kind in KEPT]

    assert all(one["upper"] <= 1e-3 for kind in told for one in kind.values())
