"""The tables of the plugins' pages say what the result files of their sweeps say.

Each line of a ``.jsonl`` file in docs/results is the ``result.json`` of one run. After a new
sweep, ``python tests/test_tables.py`` prints the rows.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[1] / "docs"
RECIPES = {
    "default: sgd, lr 0.01, momentum 0.5": ("sgd", 0.01, 0.5, "step"),
    "momentum=0.9": ("sgd", 0.01, 0.9, "step"),
    "lr=0.1": ("sgd", 0.1, 0.5, "step"),
    "lr=0.1 momentum=0.9": ("sgd", 0.1, 0.9, "step"),
    "optimizer=adam lr=0.001": ("adam", 0.001, 0.5, "step"),
    "schedule=cosine": ("sgd", 0.01, 0.5, "cosine"),
    "momentum=0.9 schedule=cosine": ("sgd", 0.01, 0.9, "cosine"),
    "lr=0.1 schedule=cosine": ("sgd", 0.1, 0.5, "cosine"),
    "lr=0.1 momentum=0.9 schedule=cosine": ("sgd", 0.1, 0.9, "cosine"),
    "optimizer=adam lr=0.001 schedule=cosine": ("adam", 0.001, 0.5, "cosine"),
}
THIEVES = {
    "default": (False, "sgd"),
    "Adam": (False, "adam"),
    "argmax": (True, "sgd"),
    "argmax, Adam": (True, "adam"),
}


def read(name):
    lines = (DOCS / "results" / f"{name}.jsonl").read_text().splitlines()
    return sorted(map(json.loads, lines), key=lambda result: result["run"]["seed"])


def percent(results, *place):
    """Return a figure of every seed, in percent."""
    values = []
    for result in results:
        value = result
        for key in place:
            value = value[key]
        values.append(f"{100 * value:.1f}")
    return " / ".join(values)


def recipe_rows(name):
    results = read(name)
    for label, recipe in RECIPES.items():
        cells = []
        for labels in ("soft", "hard"):
            own = [r for r in results if r["run"]["labels"] == labels and used(r) == recipe]
            cells.append(percent(own, "attack", "report", "held_out_fidelity"))
            cells.append(percent(own, "substitute", "accuracy"))
        yield f"| {label} | {' | '.join(cells)} |"


def used(result):
    options = result["run"]["options"]["knockoffnet"]
    return tuple(options[name] for name in ("optimizer", "lr", "momentum", "schedule"))


def deceptive_rows():
    results = read("deceptive-digits")
    for defense, beta in (("none", None), ("beta 1", 1.0), ("beta 0.3", 0.3)):
        for label, thief in THIEVES.items():
            own = [r for r in results if bent(r) == beta and training(r) == thief]
            if own:
                l1 = " / ".join(f"{r['benign']['l1']:.2f}" for r in own)
                yield f"| {defense} | {label} | {percent(own, 'substitute', 'accuracy')} | {l1} |"


def bent(result):
    return result["run"]["options"].get("deceptive", {}).get("beta")


def training(result):
    options = result["run"]["options"]["knockoffnet"]
    return options["argmax"], options["optimizer"]


def ood_rows():
    for victim, exposure in (("plain", 0.0), ("exposed", 1.0)):
        for label, score in (("MSP", "msp"), ("energy", "energy")):
            own = [r for r in read("ood-digits") if watched(r) == (score, exposure)]
            found = [percent(own, "detectors", "ood", name) for name in ("accuracy", "auroc", "fpr")]
            f1 = " / ".join(f"{r['detectors']['ood']['f1']:.2f}" for r in own)
            accuracy, auroc, fpr = found
            yield f"| {victim} | {label} | {accuracy} | {f1} | {auroc} | {fpr} |"


def watched(result):
    options = result["run"]["options"]["ood"]
    return options["score"], options["exposure"]


TABLES = {
    "recipes, digits": ("knockoffnet", lambda: recipe_rows("knockoffnet-recipes-digits")),
    "recipes, MNIST": ("knockoffnet", lambda: recipe_rows("knockoffnet-recipes-mnist")),
    "thieves, digits": ("deceptive", deceptive_rows),
    "detection, digits": ("ood", ood_rows),
}


@pytest.mark.parametrize("table", TABLES)
def test_a_table_says_what_its_result_files_say(table):
    page, rows = TABLES[table]
    text = (DOCS / "plugins" / f"{page}.md").read_text()

    assert [row for row in rows() if row not in text] == []


@pytest.mark.parametrize("name", ["deceptive-digits"])
def test_no_benign_answer_was_changed(name):
    assert {result["benign"]["changed"] for result in read(name)} == {0.0}


if __name__ == "__main__":
    for table, (_, rows) in TABLES.items():
        print(f"\n{table}", *rows(), sep="\n")
