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
            found = [
                percent(own, "detectors", "ood", name) for name in ("accuracy", "auroc", "fpr")
            ]
            f1 = " / ".join(f"{r['detectors']['ood']['f1']:.2f}" for r in own)
            accuracy, auroc, fpr = found
            yield f"| {victim} | {label} | {accuracy} | {f1} | {auroc} | {fpr} |"


def misled_rows():
    results = read("misinformation-digits")
    for label, kind in (("none", (0, 0)), ("exposure alone", (1, 1)), ("misinformation", (1, 0))):
        for thief in ("sgd", "adam"):
            own = [r for r in results if misled(r) == (*kind, thief)]
            places = [("substitute", "accuracy"), ("victim", "accuracy"), ("benign", "accuracy")]
            told = " | ".join(percent(own, *place) for place in places)
            changed = (
                "-" if kind != (1, 0) else percent(own, "responders", "misinformation", "changed")
            )
            yield f"| {label} | {'Adam' if thief == 'adam' else 'default'} | {told} | {changed} |"


def misled(result):
    run = result["run"]
    return len(run["defense"]), len(run["skip"]), run["options"]["knockoffnet"]["optimizer"]


def watched(result):
    options = result["run"]["options"]["ood"]
    return options["score"], options["exposure"]


def strategy_rows():
    results = read("knockoffnet-strategies-digits")
    for labels in ("soft", "hard"):
        for budget in (500, 2000):
            cells = []
            for strategy in ("random", "adaptive"):
                own = [r for r in results if asked(r) == (labels, budget, strategy)]
                cells.append(percent(own, "substitute", "accuracy"))
            yield f"| {labels} | {budget:,} | {' | '.join(cells)} |"


def asked(result):
    run = result["run"]
    return run["labels"], run["budget"], run["options"]["knockoffnet"]["strategy"]


def pool_rows():
    results = read("knockoffnet-pools-digits")
    for pool in ("glyphs:letters", "half", "train"):
        own = [r for r in results if r["run"]["pool"] == pool]
        soft, hard = ([r for r in own if r["run"]["labels"] == how] for how in ("soft", "hard"))
        cells = [percent(soft, "victim", "accuracy")]
        cells += [percent(some, "substitute", "accuracy") for some in (soft, hard)]
        yield f"| `{pool}` | {' | '.join(cells)} |"


ASKED = {
    "natural": ("knockoffnet", 1),
    "crafted": ("jbdatr", 1),
    "crafted by CloudLeak": ("cloudleak", 1),
    "crafted, dealt to 10 accounts": ("jbdatr", 10),
}


def prada_rows(name, rules):
    results = read(name)
    for rule in rules:
        for label, thief in ASKED.items():
            own = [r for r in results if watching(r) == rule and sending(r) == thief]
            if not own:
                continue
            told = [r["metrics"]["distances"] for r in own]
            alarms = " / ".join(str(r["detectors"]["prada"]["first_alarm"] or "-") for r in own)
            lowest = [f"{min(one['attacker']['lowest']):.3f}" for one in told]
            honest = [f"{min(one['benign']['lowest']):.3f}" for one in told]
            delta = [f"{one['delta']:.3f}" for one in told]
            cells = " | ".join(" / ".join(values) for values in (lowest, honest, delta))
            yield f"| {rule} | {label} | {alarms} | {cells} |"


def watching(result):
    return result["run"]["options"]["prada"]["rule"]


def sending(result):
    return result["run"]["attack"], result["run"]["attacker_clients"]


GROWN = {
    "random targets, trained on": ("tr", "warm"),
    "random targets, anew each round": ("tr", "fresh"),
    "Papernot's step, trained on": ("jbda", "warm"),
    "noise (control), trained on": ("noise", "warm"),
}


def grown_rows():
    results = read("jbdatr-digits")
    for label, how in GROWN.items():
        own = [r for r in results if grown(r) == how]
        cells = []
        for labels in ("soft", "hard"):
            some = [r for r in own if r["run"]["labels"] == labels]
            cells.append(percent(some, "substitute", "accuracy"))
            cells.append(percent(some, "attack", "report", "label_changed"))
        yield f"| {label} | {' | '.join(cells)} |"


def grown(result):
    options = result["run"]["options"]["jbdatr"]
    return options["rule"], options["retrain"]


def ddae_rows():
    results = read("ddae-digits")
    for labels in ("soft", "hard"):
        for defense in ("none", "deceptive", "dawn"):
            for thief in ("plain", "argmax", "ddae"):
                for result in results:
                    if recovered(result) == (labels, defense, thief):
                        report = result["attack"]["report"]
                        accuracy = percent([result], "substitute", "accuracy")
                        figures = f"{accuracy} | {report['transfer_set']:,} | {report['discarded']}"
                        yield f"| {labels} | {defense} | {thief} | {figures} |"


def recovered(result):
    run = result["run"]
    argmax = "argmax" if run["options"]["knockoffnet"]["argmax"] else "plain"
    return run["labels"], "".join(run["defense"]) or "none", "".join(run["recovery"]) or argmax


STARTS = {
    "default": {},
    "`pretrain_task=rotation`": {"pretrain_task": "rotation"},
    "`pretrain_on=nothing`": {"pretrain_on": "nothing"},
    "`rounds=1`": {"rounds": 1},
    "`choose=confidence`": {"choose": "confidence"},
    "`guides=pool`": {"guides": "pool"},
}


def leak_rows():
    results = read("cloudleak-digits")
    default = {"pretrain_on": "pool", "pretrain_task": "labels", "rounds": 5}
    default |= {"choose": "random", "guides": "seeds"}
    for label, other in STARTS.items():
        own = [r for r in results if (default | other).items() <= leaked(r).items()]
        zero = percent(own, "attack", "report", "hinge_zero")
        yield f"| {label} | {percent(own, 'substitute', 'accuracy')} | {zero} |"


def leaked(result):
    return result["run"]["options"]["cloudleak"]


def leak_box_rows():
    for label, eps in (("any", 1.0), ("0.25", 0.25), ("0.04", 0.04)):
        own = [r for r in read("cloudleak-eps-digits") if leaked(r)["eps"] == eps]
        cells = [percent(own, part, "accuracy") for part in ("victim", "substitute")]
        cells.append(percent(own, "attack", "report", "hinge_zero"))
        yield f"| {label} | {' | '.join(cells)} |"


TABLES = {
    "CloudLeak's box, digits": ("cloudleak", leak_box_rows),
    "CloudLeak's start, digits": ("cloudleak", leak_rows),
    "recovered, digits": ("ddae", ddae_rows),
    "growth, digits": ("jbdatr", grown_rows),
    "alarms, digits": ("prada", lambda: prada_rows("prada-digits", ("paper", "release"))),
    "alarms, MNIST": ("prada", lambda: prada_rows("prada-mnist", ("paper",))),
    "strategies, digits": ("knockoffnet", strategy_rows),
    "pools, digits": ("knockoffnet", pool_rows),
    "recipes, digits": ("knockoffnet", lambda: recipe_rows("knockoffnet-recipes-digits")),
    "recipes, MNIST": ("knockoffnet", lambda: recipe_rows("knockoffnet-recipes-mnist")),
    "thieves, digits": ("deceptive", deceptive_rows),
    "detection, digits": ("ood", ood_rows),
    "misled thieves, digits": ("misinformation", misled_rows),
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
