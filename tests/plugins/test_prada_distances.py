"""The metric ``distances`` and the figure drawn from it."""

from __future__ import annotations

import json
from xml.etree import ElementTree

import numpy as np
import polars as pl
import pytest
from attrs import evolve, frozen
from plugins.thefts import Thief

from ringfence.errors import RingfenceError
from ringfence.pipeline import run_experiment
from ringfence.plugins import find, load
from ringfence.testing import tiny_experiment
from ringfence_prada import Prada
from ringfence_prada.figure import MOST, Distances, panels
from ringfence_prada.histograms import distances


def measured(defenses, **changes):
    run = evolve(tiny_experiment(budget=300), metrics={"distances": distances}, **changes)
    return run, run_experiment(run, {**defenses, "thief": Thief()})


def test_every_distance_is_in_the_histogram_of_its_side():
    run, result = measured({"prada": Prada(delta=0.9)})
    figures = result["metrics"]["distances"]
    minima = {
        client: log["rows"]
        for plugin, client, name, *rows in run.store.dump()["logs"]
        if (plugin, name) == ("prada", "minima")
        for log in [{"rows": rows[0][:, 1].numpy()}]
    }

    assert figures["delta"] == 0.9
    for side in ("benign", "attacker"):
        own = np.concatenate([rows for who, rows in minima.items() if who.startswith(side)])
        counts, _ = np.histogram(own, 50, (0, figures["largest"]))
        assert figures[side]["counts"] == counts.tolist()
        assert sum(figures[side]["counts"]) == len(own)
        assert figures[side]["mean"] == pytest.approx(own.mean())
        assert figures[side]["std"] == pytest.approx(own.std())
    assert figures["largest"] == max(rows.max() for rows in minima.values())


def test_w_is_told_of_clients_that_were_tested():
    figures = measured({"prada": Prada(delta=0.9)})[1]["metrics"]["distances"]

    assert figures["benign"]["w"] == [None, None]  # 48 queries each
    assert len(figures["attacker"]["w"]) == 2  # 150 each
    for last, lowest in zip(figures["attacker"]["w"], figures["attacker"]["lowest"], strict=True):
        assert 0 <= lowest <= last < 1


def test_without_prada_or_clients_there_is_little_to_tell():
    assert measured({})[1]["metrics"]["distances"] == {}

    figures = measured({"prada": Prada(delta=0.9)}, benign_clients=0)[1]["metrics"]["distances"]
    assert figures["benign"] == {
        "counts": [0] * 50, "mean": None, "std": None, "w": [], "lowest": [],
    }  # fmt: skip


def test_both_are_installed():
    assert load(find("metrics", "distances")) is distances
    assert load(find("reports", "distances")) is Distances


def figures(lowest=0.97):
    side = {"counts": [1, 3, 1], "mean": 1.5, "std": 0.7, "w": [0.98], "lowest": [lowest]}
    return {"delta": 0.9, "largest": 3.0, "benign": side, "attacker": dict(side)}


def row(attacker="knockoffnet", accounts=1, told=None, setting="digits, lenet5"):
    metrics = json.dumps({} if told is None else {"distances": told})
    names = {"setting": setting, "defender": "prada", "attacker": attacker}
    return {**names, "attacker_clients": accounts, "metrics": metrics}


@frozen
class Results:
    frame: pl.DataFrame


def test_benign_clients_have_one_panel_a_setting_and_each_attacker_one():
    rows = [
        row(told=figures(0.91)), row(told=figures(0.5)), row("jbdatr", told=figures()),
        row("jbdatr", 5, figures()), row("none"),
    ]  # fmt: skip
    found = panels(iter(rows))

    assert [panel.title.removeprefix("digits, lenet5: ") for panel in found] == [
        "benign clients", "jbdatr, 1 account", "jbdatr, 5 accounts", "knockoffnet, 1 account",
    ]  # fmt: skip
    assert found[-1].figures["lowest"] == [0.91]  # of the first seed


def test_a_side_without_distances_has_no_panel():
    told = figures()
    told["benign"] = {**told["benign"], "mean": None}

    assert len(panels(iter([row(told=told)]))) == 1


def test_the_figure_says_what_it_shows(tmp_path):
    frame = pl.DataFrame([row(told=figures()), row("a <b>", 2, figures())])
    frame = frame.with_columns(defender=pl.Series(["prada", "dawn + prada"]))
    file = Distances(name="f.svg").write(Results(frame), tmp_path / "new")
    again = Distances(name="g.svg").write(Results(frame), tmp_path)
    text = " ".join(ElementTree.parse(file).getroot().itertext())

    assert "digits, lenet5: a <b>, 2 accounts (dawn + prada)" in text
    assert "lowest W 0.970" in text
    assert "alarm below 0.900" in text
    assert file.read_bytes() == again.read_bytes()
    assert len(panels(frame.iter_rows(named=True))) == 4
    assert file.read_text().count("axes_") == 4


def test_too_many_panels_are_cut(tmp_path):
    frame = pl.DataFrame([row(f"a{n:02}", told=figures()) for n in range(MOST + 3)])
    text = Distances().write(Results(frame), tmp_path).read_text()

    assert f"a{MOST - 2:02}, 1 account" in text  # benign clients have one
    assert f"a{MOST - 1:02}, 1 account" not in text
    assert "4 more" in text


def test_runs_without_the_metric_are_an_error_that_says_what_to_do(tmp_path):
    with pytest.raises(RingfenceError, match="--defense prada --metric distances"):
        Distances().write(Results(pl.DataFrame([row()])), tmp_path)
