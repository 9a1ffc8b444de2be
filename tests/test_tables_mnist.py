"""The page of the MNIST tables says what their result files say.

After a new sweep, ``python tests/test_tables_mnist.py`` prints the rows.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

RESULTS = Path(__file__).parents[1] / "docs" / "results"
DEFENSES = (
    (),
    ("dawn",),
    ("misinformation",),
    ("deceptive",),
    ("ood", "block"),
    ("prada", "block"),
)


def read(name):
    lines = (RESULTS / f"{name}.jsonl").read_text().splitlines()
    return sorted(map(json.loads, lines), key=lambda result: result["run"]["seed"])


def percent(values):
    """Return a figure of every seed, in percent."""
    return " / ".join(f"{100 * value:.1f}" for value in values)


def convicted(result):
    """Return whether the substitute was, and any control."""
    said = [(one["suspect"] == "substitute", one["stolen"]) for one in result["evidence"]]
    return any(s for own, s in said if own), any(s for own, s in said if not own)


def verdicts(results):
    if not any(result["evidence"] for result in results):
        return "-"
    own, others = zip(*map(convicted, results), strict=True)
    return f"{sum(own)} of {len(own)}, controls {sum(others)}"


def baseline_rows(attack, budget):
    results = [
        r
        for r in read("mnist-baselines")
        if (r["run"]["attack"], r["run"]["budget"]) == (attack, budget)
    ]
    for labels in ("soft", "hard"):
        for defense in DEFENSES:
            own = [
                r
                for r in results
                if (r["run"]["labels"], tuple(r["run"]["defense"])) == (labels, defense)
            ]
            if own:
                yield row(labels, " + ".join(defense) or "none", own)


def row(labels, defense, results):
    figures = [
        [r["substitute"]["accuracy"] for r in results],
        [r["substitute"]["fidelity"] for r in results],
        [r["benign"]["accuracy"] for r in results],
        [r["attack"]["changed"] for r in results],
    ]
    cells = " | ".join(percent(values) for values in figures)
    seeds = ", ".join(str(r["run"]["seed"]) for r in results)
    return f"| {labels} | {defense} | {seeds} | {cells} | {verdicts(results)} |"


def undefended_rows(attack, budget, label):
    """Yield the line of an attack's page: both formats, accuracy and fidelity."""
    own = [
        r
        for r in read("mnist-baselines")
        if (r["run"]["attack"], r["run"]["budget"]) == (attack, budget)
    ]
    cells = [
        percent(
            r["substitute"][figure]
            for r in own
            if r["run"]["labels"] == labels and not r["run"]["defense"]
        )
        for labels in ("soft", "hard")
        for figure in ("accuracy", "fidelity")
    ]
    yield f"| {label} | {' | '.join(cells)} |"


FLAGGED = (
    ("jbdatr", 6_400, "JBDA-TR"),
    ("cloudleak", 10_000, "CloudLeak"),
    ("knockoffnet", 12_000, "KnockoffNet"),
)


def lenet_rows():
    """Yield KnockoffNet's line with the wider net on both sides."""
    results = read("knockoffnet-lenet-mnist")
    cells = [
        percent(r["substitute"][figure] for r in results if r["run"]["labels"] == labels)
        for labels in ("soft", "hard")
        for figure in ("accuracy", "fidelity")
    ]
    yield f"| default, `lenet`, seed 0 | {' | '.join(cells)} |"


def ddae_rows():
    """Yield what D-DAE wins back on MNIST, and what it sees."""
    results = read("ddae-mnist")
    kinds = {(r["run"]["labels"], defended(r), thief(r)): None for r in results}
    for labels, defense, who in sorted(kinds, key=lambda kind: (kind[0] != "soft", *kind[1:])):
        own = [
            r
            for r in results
            if (r["run"]["labels"], defended(r), thief(r)) == (labels, defense, who)
        ]
        reports = [r["recoveries"].get("ddae", {}).get("report", {}) for r in own]
        cells = [
            percent(r["substitute"]["accuracy"] for r in own),
            spans(reports, f"{who}_auc"),
            spans(reports, f"{who}_score"),
            " / ".join(f"{r['attack']['report']['transfer_set']:,}" for r in own),
        ]
        seeds = ", ".join(str(r["run"]["seed"]) for r in own)
        yield f"| {labels} | {defense} | {who} | {seeds} | {' | '.join(cells)} |"


def defended(result):
    return " + ".join(result["run"]["defense"]) or "none"


def thief(result):
    """Return what a thief with D-DAE expects; one without expects nothing."""
    run = result["run"]
    return ", ".join(run["options"]["ddae"]["expects"]) if run["recovery"] else "-"


def spans(reports, name):
    found = [report.get(name) for report in reports]
    return "-" if None in found else " / ".join(f"{value:.2f}" for value in found)


def flagged_rows():
    """Yield how well the OOD detector of a plain victim tells queries apart, by attack."""
    for attack, budget, label in FLAGGED:
        own = [
            r["detectors"]["ood"]
            for r in read("mnist-baselines")
            if (r["run"]["attack"], r["run"]["budget"]) == (attack, budget)
            and r["run"]["labels"] == "hard"
            and "ood" in r["detectors"]
        ]
        if not own:
            continue
        cells = [percent(one[name] for one in own) for name in ("accuracy", "auroc", "fpr")]
        alarms = " / ".join(str(one["first_alarm"]) for one in own)
        yield f"| {label} | {' | '.join(cells)} | {alarms} |"


def amao_rows(name, *, trained):
    """Yield AMAO's table 8: what a thief gets for how many changed answers, and its conviction."""
    mine = read(name)
    others = [
        r
        for r in read("mnist-baselines")
        if (r["run"]["attack"], r["run"]["budget"]) == ("jbdatr", 6_400)
        and r["run"]["defense"] in ([], ["dawn"])
    ]
    for labels in ("soft", "hard"):
        for label in ("none", "dawn", "no replay", "ringfence", "paper"):
            own = [
                r
                for r in mine + ([] if trained else others)
                if r["run"]["labels"] == labels and guarded_by(r) == label
            ]
            if own:
                yield amao_row(labels, label, own)


def guarded_by(result):
    run = result["run"]
    if "amao" not in run["defense"] or "amao.respond" in run["skip"]:
        return "dawn" if "dawn" in run["defense"] else "none"
    options = run["options"]["amao"]
    return options["preset"] if options["replay"] else "no replay"


def amao_row(labels, label, results):
    cells = [
        percent(r["substitute"]["accuracy"] for r in results),
        percent(r["attack"]["changed"] for r in results),
    ]
    reports = [r["responders"].get("amao", {}).get("report") for r in results]
    cells += [
        percent(one[rate] for one in reports) if all(reports) else "-"
        for rate in ("flipped_rate", "replayed_rate")
    ]
    alarms = [r["detectors"].get("amao", {}).get("first_alarm") for r in results]
    cells.append(" / ".join(map(str, alarms)) if all(alarms) else "-")
    thieves = [[e["score"] for e in r["evidence"] if e["suspect"] == "substitute"] for r in results]
    cells.append(percent(own[0] for own in thieves) if all(thieves) else "-")
    seeds = ", ".join(str(r["run"]["seed"]) for r in results)
    return f"| {labels} | {label} | {seeds} | {' | '.join(cells)} | {verdicts(results)} |"


def rate_rows():
    """Yield what DAWN does at rates of changed answers that replays come to."""
    results = [r for r in read("dawn-mnist-rates") if r["run"]["attack"] == "jbdatr"]
    for rate in (0.32, 0.92):
        own = [r for r in results if r["run"]["options"]["dawn"]["rate"] == rate]
        cells = [
            percent(r[side][figure] for r in own)
            for side, figure in (
                ("substitute", "accuracy"),
                ("attack", "changed"),
                ("benign", "accuracy"),
            )
        ]
        yield f"| {rate} | {' | '.join(cells)} |"


LOOKALIKES = {
    "JBDA-TR": "jbdatr",
    "CloudLeak": "cloudleak",
    "crop": "crop",
    "rotation": "rotation",
    "noise": "noise",
    "flip": "flip",
}
GUARDS = (("amao", "ringfence"), ("amao", "paper"), ("dawn", "pixels"), ("dawn", "logits"),
          ("dawn", "hidden"))  # fmt: skip


def guarded(result):
    (name,) = result["run"]["defense"]
    options = result["run"]["options"][name]
    return name, options["preset" if name == "amao" else "mapping"]


def found_rows():
    """Yield AMAO's table 12: how well a hash finds what was made from what."""
    told = read("amao-lookalikes-mnist")[0]["metrics"]["lookalikes"]
    for label, kind in LOOKALIKES.items():
        by = told[kind]["similarity"]
        best = f"{by['median']['threshold']:.2f} | {percent([by['median']['accuracy']])}"
        paper = " | ".join(
            percent([by[rule]["accuracy_paper"]]) for rule in ("median", "mean", "mean_no_dc")
        )
        yield f"| {label} | {best} | {paper} |"


def equal_rows():
    """Yield how often an original with an altered answer and its look-alike are told the same."""
    results = {guarded(r): r["metrics"]["lookalikes"] for r in read("amao-lookalikes-mnist")}
    for label, kind in LOOKALIKES.items():
        cells = [percent([results[guard][kind]["equal_altered"]]) for guard in GUARDS]
        yield f"| {label} | {' | '.join(cells)} | {percent([results[GUARDS[0]][kind]['victim']])} |"


TABLES = {
    "knockoffnet": lambda: baseline_rows("knockoffnet", 60_000),
    "knockoffnet, a fifth": lambda: baseline_rows("knockoffnet", 12_000),
    "jbdatr": lambda: baseline_rows("jbdatr", 6_400),
    "cloudleak": lambda: baseline_rows("cloudleak", 10_000),
}
PAGES = {
    "found": ("amao", found_rows),
    "equal": ("amao", equal_rows),
    "jbdatr alone": ("jbdatr", lambda: undefended_rows("jbdatr", 6_400, "default (trained on)")),
    "knockoffnet alone": (
        "knockoffnet",
        lambda: undefended_rows("knockoffnet", 60_000, "default, `lenet5`"),
    ),
    "recovered": ("ddae", ddae_rows),
    "knockoffnet, the wider net": ("knockoffnet", lenet_rows),
    "cloudleak alone": (
        "cloudleak",
        lambda: undefended_rows("cloudleak", 10_000, "default, `lenet5`"),
    ),
    "flagged": ("ood", flagged_rows),
    "rates": ("amao", rate_rows),
    "amao": ("amao", lambda: amao_rows("amao-mnist", trained=False)),
}


@pytest.mark.parametrize("table", TABLES)
def test_a_table_says_what_its_result_files_say(table):
    text = (RESULTS / "mnist.md").read_text()

    assert [row for row in TABLES[table]() if row not in text] == []


@pytest.mark.parametrize("table", PAGES)
def test_a_plugin_s_page_says_what_its_result_files_say(table):
    page, rows = PAGES[table]
    text = (RESULTS.parent / "plugins" / f"{page}.md").read_text()

    assert [row for row in rows() if row not in text] == []


@pytest.mark.parametrize("file", sorted(RESULTS.glob("*mnist*.jsonl")), ids=lambda file: file.stem)
def test_no_control_was_convicted(file):
    assert not any(convicted(result)[1] for result in read(file.stem))


if __name__ == "__main__":
    own = {table: rows for table, (_, rows) in PAGES.items()}
    for table, rows in (TABLES | own).items():
        print(f"\n{table}", *rows(), sep="\n")
