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


TABLES = {
    "truncation": truncation_rows,
}


@pytest.mark.parametrize("page", TABLES)
def test_a_table_says_what_its_result_files_say(page):
    text = (DOCS / "plugins" / f"{page}.md").read_text()

    assert [row for row in TABLES[page]() if row not in text] == []


if __name__ == "__main__":
    for page, rows in TABLES.items():
        print(f"\n{Path(page).name}", *rows(), sep="\n")
