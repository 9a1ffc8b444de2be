"""The tables of responders that need a detector, and of thieves who know: as in test_tables.py.

After a new sweep, ``python tests/test_tables_adaptive.py`` prints the rows.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from test_tables import DOCS, percent, read


def chosen(result, plugin, *names):
    """Return the values of a plugin's options, or ``None`` where it was not selected."""
    options = result["run"]["options"].get(plugin)
    return options and tuple(options[name] for name in names)


def truncation_rows():
    results = read("truncation-digits")
    for label, labels, cut in (
        ("none", "soft", None),
        ("none, `--labels hard`", "hard", None),
        ("kind=labels", "soft", ("labels", 1)),
        ("kind=top k=3", "soft", ("top", 1)),
        ("kind=round decimals=1", "soft", ("round", 1)),
        ("kind=round decimals=0", "soft", ("round", 0)),
    ):
        own = [
            r
            for r in results
            if r["run"]["labels"] == labels and chosen(r, "truncation", "kind", "decimals") == cut
        ]
        columns = [("substitute", "accuracy"), ("substitute", "fidelity"), ("benign", "changed")]
        yield f"| {label} | {' | '.join(percent(own, *column) for column in columns)} |"


def collusion_rows():
    results = read("collusion-digits")
    dealt = {None: "in turn, no recovery", ("random",): "at random"}
    dealt[("similar",)] = "similar ones apart"
    for accounts, deals in ((1, [None]), (5, dealt), (20, [None])):
        for deal in deals:
            own = [
                r
                for r in results
                if r["attack"]["clients"] == accounts and chosen(r, "collusion", "deal") == deal
            ]
            found = [r["detectors"]["prada"] for r in own]
            suspected = " / ".join(str(one["report"]["suspected"]) for one in found)
            alarms = " / ".join(str(one["first_alarm"] or "-") for one in found)
            name = dealt[deal] if accounts > 1 else "-"
            accuracy = percent(own, "substitute", "accuracy")
            yield f"| {accounts} | {name} | {suspected} | {alarms} | {accuracy} |"


def block_rows():
    results = read("block-digits")
    names = {None: "none", ("refuse",): "answer=refuse", ("shuffle",): "answer=shuffle"}
    for answer, name in names.items():
        own = [r for r in results if chosen(r, "block", "answer") == answer]
        alarm = own[0]["detectors"]["prada"]["first_alarm"]
        changed = percent(own, "attack", "changed")
        yield f"| {name} | {alarm} | {changed} | {percent(own, 'substitute', 'accuracy')} |"


def mixing_rows():
    results = read("mixing-digits")
    for label, queries, source in (
        ("none", 250, None),
        ("none", 2000, None),
        ("source=seeds", 2000, ("seeds",)),
        ("source=pool", 2000, ("pool",)),
    ):
        own = [
            r
            for r in results
            if r["attack"]["queries"] == queries and chosen(r, "mixing", "source") == source
        ]
        learnt, found = own[0]["attack"]["report"]["transfer_set"], own[0]["detectors"]["ood"]
        figures = [percent(own, "detectors", "ood", "tpr"), str(found["first_alarm"] or "-")]
        figures.append(percent(own, "substitute", "accuracy"))
        yield f"| {label} | {queries:,} | {learnt:,} | {' | '.join(figures)} |"


def probing_rows():
    results = read("probing-digits")
    for label, queries, by in (
        ("none", 2000, None),
        ("by=changed", 2000, ("changed",)),
        ("by=changed", 6000, ("changed",)),
        ("by=account", 6000, ("account",)),
    ):
        own = [
            r
            for r in results
            if r["attack"]["queries"] == queries and chosen(r, "probing", "by") == by
        ]
        learnt = own[0]["attack"]["report"]["transfer_set"]
        doubted = own[0]["recoveries"]["probing"]["report"]["doubted"] if by else "-"
        accuracy = percent(own, "substitute", "accuracy")
        yield f"| {label} | {queries:,} | {learnt:,} | {doubted} | {accuracy} |"


TABLES = {
    "block": block_rows,
    "collusion": collusion_rows,
    "mixing": mixing_rows,
    "probing": probing_rows,
    "truncation": truncation_rows,
}


@pytest.mark.parametrize("page", TABLES)
def test_a_table_says_what_its_result_files_say(page):
    text = (DOCS / "plugins" / f"{page}.md").read_text()

    assert [row for row in TABLES[page]() if row not in text] == []


if __name__ == "__main__":
    for page, rows in TABLES.items():
        print(f"\n{Path(page).name}", *rows(), sep="\n")
