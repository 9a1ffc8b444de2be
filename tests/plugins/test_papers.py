"""Tables of papers: what a file may say, which runs fill a cell, and what becomes of a claim."""

from __future__ import annotations

import json
from pathlib import Path
from statistics import fmean

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from ringfence import grid
from ringfence.cli import main
from ringfence.errors import BadOption, BadSpec, UnknownName
from ringfence_papers.blocks import renew
from ringfence_papers.cells import Asked, fits, wanted
from ringfence_papers.figures import figure
from ringfence_papers.filled import Cell, Filled
from ringfence_papers.page import measured, page, rows
from ringfence_papers.results import Results, same
from ringfence_papers.spread import spread
from ringfence_papers.study import Settings, Study, find
from ringfence_papers.table import Claim, Column, Row, Table, read
from ringfence_papers.verdict import verdicts

ROOT = Path(__file__).parents[2]
AMAO = find("amao")
TABLE = """
title = "T"
source = "Table 1"
sweeps = ["s"]
rows = [{ at = { attack = "knockoffnet" }, published = { a = 90, b = 80 } }]
[[columns]]
name = "a"
value = "substitute.accuracy"
[[columns]]
name = "b"
value = "substitute.accuracy"
[[claims]]
says = "less"
column = "b"
below = "a"
"""


def parsed(tmp_path, text):
    (tmp_path / "table1.toml").write_text(text)
    return read(tmp_path / "table1.toml")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (('column = "b"', 'column = "c"'), "is named 'c'"),
        (("a = 90", "x = 90"), "is named 'x'"),
        (('below = "a"', 'below = "a"\nabove = "a"'), "one of below"),
        (('below = "a"', ""), "one of below"),
        (('title = "T"', "title = 1"), "title"),
        (('title = "T"', "title = "), "table1.toml"),
        (('source = "Table 1"', 'source = "Table 1"\ncolour = "red"'), "colour"),
    ],
)
def test_a_mistake_in_a_table_is_named(tmp_path, change, words):
    with pytest.raises((BadSpec, UnknownName), match=words):
        parsed(tmp_path, TABLE.replace(*change))


@pytest.mark.parametrize("name", AMAO.tables)
def test_every_mnist_cell_of_amao_has_runs_that_fill_it(name):
    """A column whose runs no sweep has would stay empty for ever."""
    table = AMAO.table(name)
    plans = {sweep: grid.read(AMAO.sweep(sweep)) for sweep in table.sweeps}
    filled = {(id(row), column.name) for row, column, *_ in wanted(AMAO, table, plans, Asked())}

    missing = [
        (row.at, column.name)
        for row in table.rows
        if row.at["dataset"] == "mnist"
        for column in table.columns
        if (id(row), column.name) not in filled
    ]
    hard = {"deceptive", "misinformation"}  # the former is not told apart by hard answers
    assert [one for one in missing if one[1] not in hard or one[0].get("labels") != "hard"] == []


def test_another_data_set_brings_its_model_pool_and_budget():
    table = AMAO.table("table3")
    plans = {sweep: grid.read(AMAO.sweep(sweep)) for sweep in table.sweeps}
    found = [
        run.named
        for row, column, _, _, run in wanted(AMAO, table, plans, Asked(budget_scale=0.1, seeds=1))
        if (row.at["attack"], row.at["labels"]) == ("knockoffnet", "hard")
        and row.at["dataset"] == "cifar10"
        and column.name == "standard"
    ]

    # a row is known by the whole budget, whatever is asked for; the sweep with a fifth is not it
    assert {(n["model"], n["pool"], n["budget"], n["seed"]) for n in found if n.get("pool")} == {
        ("resnet18", "cifar100", 5_000, 0)
    }


def test_more_seeds_than_a_sweep_has():
    table = AMAO.table("table3")
    plans = {sweep: grid.read(AMAO.sweep(sweep)) for sweep in table.sweeps}
    asked = Asked(seeds=5)

    assert {run.named["seed"] for *_, run in wanted(AMAO, table, plans, asked)} == set(range(5))


def test_a_scale_that_gives_no_budget_is_refused():
    with pytest.raises(BadOption, match="budget-scale"):
        Asked(budget_scale=0)


def test_a_run_fits_where_what_is_unsaid_has_its_default():
    named = {"attack": "jbdatr", "options": {"amao": {"preset": "paper"}}}

    assert fits(named, {"defense": [], "skip": [], "labels": "soft", "amao.preset": "paper"})
    assert not fits(named, {"defense": ["dawn"]})
    assert not fits(named, {"amao.preset": "ringfence"})


RUN = {
    "dataset": "digits",
    "attack": "knockoffnet",
    "labels": "soft",
    "budget": 100,
    "seed": 0,
    "defense": [],
    "recovery": [],
    "skip": [],
    "options": {"knockoffnet": {"lr": 0.01}},
}
NAMED = {"dataset": "digits", "attack": "knockoffnet", "budget": 100}


def test_a_result_is_the_planned_run_if_every_option_is_the_same():
    assert same({**NAMED, "options": {"knockoffnet": {"lr": 0.01}}}, RUN)
    assert not same({**NAMED, "options": {"knockoffnet": {"lr": 0.5}}}, RUN)
    assert not same({**NAMED, "budget": 101}, RUN)
    assert not same({**NAMED, "defense": ["dawn"]}, RUN)
    skipping = {**NAMED, "skip": ("b.x", "a.y"), "options": {"knockoffnet": {"lr": 0.01}}}
    assert same(skipping, {**RUN, "skip": ["a.y", "b.x"]})
    trained = {"knockoffnet": {"lr": 0.01}, "training": {"epochs": 3}}
    assert same({**NAMED, "options": trained}, {**RUN, "recipe": {"epochs": 3}})
    assert not same({**NAMED, "options": trained}, {**RUN, "recipe": {"epochs": 4}})
    assert same({**NAMED, "threads": 9, "options": {"knockoffnet": {"lr": 0.01}}}, RUN)


def test_a_default_that_has_changed_since_is_another_run():
    from ringfence_knockoffnet import KnockoffNet

    own = KnockoffNet().lr
    assert same(NAMED, {**RUN, "options": {"knockoffnet": {"lr": own}}})
    assert not same(NAMED, {**RUN, "options": {"knockoffnet": {"lr": own * 2}}})
    assert same(NAMED, {**RUN, "options": {}})  # the option is younger than the file


def test_what_is_unsaid_is_what_the_data_set_says():
    """A result with another pool, or another net for the thief, is another run."""
    alike = {**RUN, "options": {}, "pool": "glyphs:letters", "model": "lenet5"}

    assert same(NAMED, {**alike, "substitute": "lenet5"})
    assert not same(NAMED, {**alike, "pool": "glyphs:signs"})
    assert not same(NAMED, {**alike, "substitute": "alexnet"})


def test_what_is_no_result_file_is_refused(tmp_path):
    (tmp_path / "x.jsonl").write_text("{]\n")
    with pytest.raises(Exception, match="cannot be read as results"):
        Results(None, [tmp_path])
    with pytest.raises(Exception, match="is not there"):
        Results(None, [tmp_path / "none"])


def test_figures_of_a_result():
    evidence = [
        {"verifier": "dawn", "suspect": "substitute", "score": 0.9, "stolen": True},
        {"verifier": "dawn", "suspect": "control:independent", "score": 0.2, "stolen": False},
        {"verifier": "dawn", "suspect": "control:undefended", "score": 0.1, "stolen": False},
        {"verifier": "amao", "suspect": "substitute", "score": 0.5, "stolen": False},
    ]
    result = {
        "evidence": evidence,
        "detectors": {"prada": {"first_alarm": None}, "ood": {"first_alarm": 7}},
        "verifiers": {"amao": {"report": {"records": 0, "pairs": 0}}},  # too few marks to ask for
        "substitute": {"accuracy": 0.5, "note": "x"},
    }

    told = [
        "watermark:dawn",
        "control:dawn",
        "convicted:dawn",
        "accused:dawn",
        "convicted:amao",
        "watermark:amao",
        "alarmed:prada",
        "alarmed:ood",
        "alarmed:none",
        "substitute.accuracy",
        "substitute.note",
        "nothing.here",
    ]
    assert [figure(result, name) for name in told] == [
        0.9, 0.2, 1.0, 0.0, 0.0, None, 0.0, 1.0, None, 0.5, None, None,
    ]  # fmt: skip
    with pytest.raises(BadSpec, match="is no figure"):
        figure(result, "nonsense:dawn")


def of(claim, published, **cells):
    """Return the verdict on ``claim`` about one row with these figures by seed."""
    columns = tuple(Column(name, "x") for name in cells)
    table = Table("T", "Table 1", (), columns, (Row({}, published),), (claim,))
    row = {name: Cell(dict(enumerate(values))) for name, values in cells.items()}
    study = Study("s", Path(), Settings("S", {}))
    (found,) = verdicts(Filled(study, "table1", table, [row]))
    return found


LESS = Claim("less", "b", below="a")
MORE = Claim("more", "b", above="a")


@pytest.mark.parametrize(
    ("claim", "published", "a", "b", "word"),
    [
        (LESS, {"a": 90, "b": 80}, [0.9, 0.91, 0.9], [0.8, 0.8, 0.79], "holds"),
        (MORE, {"a": 80, "b": 90}, [0.8, 0.8, 0.79], [0.9, 0.91, 0.9], "holds"),
        (LESS, {"a": 90, "b": 50}, [0.9, 0.91, 0.9], [0.8, 0.8, 0.79], "holds weaker"),
        (LESS, {}, [0.9, 0.91, 0.9], [0.8, 0.8, 0.79], "holds"),
        (LESS, {}, [0.9, 0.5, 0.9], [0.8, 0.6, 0.7], "holds weaker"),
        (LESS, {}, [0.9], [0.1], "holds weaker"),
        (LESS, {}, [0.8, 0.8, 0.79], [0.9, 0.91, 0.9], "fails"),
        (LESS, {}, [0.8], [0.8], "fails"),
        (LESS, {}, [0.8], [], "not run"),
        (Claim("x", "b", at_least=0.85), {}, [], [0.9, 0.86], "holds"),
        (Claim("x", "b", at_least=0.85), {}, [], [0.99, 0.8], "holds weaker"),
        (Claim("x", "b", at_least=0.85), {}, [], [0.9], "holds weaker"),
        (Claim("x", "b", at_least=0.85), {}, [], [0.8, 0.7], "fails"),
        (Claim("x", "b", at_most=0.02), {}, [], [0.0, 0.02], "holds"),
        (Claim("x", "b", at_most=0.0), {}, [], [0.0, 0.1], "fails"),
    ],
)
def test_verdict(claim, published, a, b, word):
    assert of(claim, published, a=a, b=b).word == word


def test_only_common_seeds_are_compared():
    found = of(LESS, {}, a=[0.9, 0.9, 0.9, 0.1], b=[0.8, 0.7, 0.9])

    assert found.findings[0].effect.count == 3
    assert found.findings[0].effect.mean == pytest.approx(-0.1)


@given(st.lists(st.floats(0, 1), min_size=2, max_size=8))
def test_an_interval_lies_around_its_mean(values):
    found = spread(values)

    assert found.low <= fmean(values) + 1e-12
    assert found.high >= fmean(values) - 1e-12


def test_no_interval_of_one_figure():
    found = spread([0.5])

    assert (found.half, found.low, found.high) == (None, float("-inf"), float("inf"))
    assert spread([]) is None


@pytest.mark.parametrize(
    ("value", "seeds", "text"),
    [
        ("substitute.accuracy", [0.80, 0.81, 0.82], "81.0 ± 2.5"),
        ("substitute.accuracy", [0.99, 0.9], "94.5 (90.0 to 99.0)"),  # the interval is 94.5 ± 57.2
        ("substitute.accuracy", [0.5, 0.5], "50.0"),
        ("substitute.accuracy", [0.5], "50.0"),
        ("convicted:amao", [1.0, 0.0, 1.0], "2 of 3"),
        ("accused:amao", [1 / 3, 0.0], "16.7 (0.0 to 33.3)"),
        ("substitute.accuracy", [], "-"),
    ],
)
def test_the_text_of_a_cell(value, seeds, text):
    assert measured(Cell(dict(enumerate(seeds))), Column("c", value)) == text


def test_only_rows_that_were_run_stand_in_the_table():
    columns = (Column("a", "x"),)
    table = Table("T", "Table 1", (), columns, (Row({"k": "one"}, {"a": 1}), Row({"k": "two"})))
    study = Study("s", Path(), Settings("S", {}))
    filled = Filled(study, "table1", table, [{"a": Cell({0: 0.5})}, {"a": Cell()}])

    assert list(rows(filled))[2:] == ["| one | 1 | 50.0 |  |"]
    assert "Not run: two." in page(filled)


def test_blocks_are_renewed_and_the_rest_is_left_alone(tmp_path):
    file = tmp_path / "page.md"
    file.write_text("before\n<!-- reproduce a/b -->\nold\n<!-- end -->\nafter\n")

    assert renew(file, str.upper, check=True) == ["a/b"]
    assert "old" in file.read_text()
    assert renew(file, str.upper, check=False) == ["a/b"]
    assert file.read_text() == ("before\n<!-- reproduce a/b -->\n\nA/B\n<!-- end -->\nafter\n")
    assert renew(file, str.upper, check=True) == []


def told(*arguments):
    return CliRunner().invoke(main, ["reproduce", *map(str, arguments)])


def test_the_command_lists_its_tables():
    output = told().output

    assert all(f"amao/{name}" in output for name in ("table2", "table13", "figure9"))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("amao/table99",), "table13"),
        (("nothing/table1",), "Known: amao"),
        (("amao/table3", "--dataset", "digits", "--dry-run"), "mnist"),
        (("amao/table3", "--model", "lennet5", "--dry-run"), "lenet5"),
        (("amao", "--plot", "x.svg"), "STUDY/TABLE"),
    ],
)
def test_a_wrong_name_is_told_with_those_there_are(arguments, words):
    result = told(*arguments)

    assert result.exit_code == 1
    assert words in result.output
    assert "Traceback" not in result.output


def test_a_dry_run_runs_nothing(tmp_path):
    result = told("amao/table2", "--out", tmp_path, "--dry-run", "--seeds", "1")

    assert "jbdatr-trained: 1 of 1 runs left" in result.output
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("page", ["docs/papers/amao.md", "README.md"])
def test_generated_pages_are_up_to_date(page):
    result = told("--results", ROOT / "docs/results", "--into", ROOT / page, "--check")

    assert result.exit_code == 0, result.output


def test_the_plot_in_the_readme_is_up_to_date(tmp_path):
    """Byte by byte, which holds for the matplotlib of constraints.txt."""
    results = ("amao/headline", "--results", ROOT / "docs/results")
    own = ROOT / "docs/papers/headline.svg"

    assert told(*results, "--plot", own, "--check").exit_code == 0
    changed = tmp_path / "changed.svg"
    changed.write_bytes(own.read_bytes() + b" ")
    assert told(*results, "--plot", changed, "--check").exit_code == 1


def test_a_study_of_ones_own_runs_and_fills_its_table(tmp_path, monkeypatch):
    folder = tmp_path / "mine"
    (folder / "sweeps").mkdir(parents=True)
    (folder / "setting.toml").write_text(
        'title = "Mine"\n[dataset.digits]\npaper_model = "alexnet"\n'
        "budget = { knockoffnet = 100 }\n"
    )
    (folder / "table1.toml").write_text(
        'title = "T"\nsource = "Table 1"\nsweeps = ["s"]\n'
        'rows = [{ at = { dataset = "digits" }, published = { a = 90 } }]\n'
        '[[columns]]\nname = "a"\nvalue = "substitute.accuracy"\n'
    )
    (folder / "sweeps/s.toml").write_text(
        '[run]\ndataset = "digits"\nmodel = "lenet5"\nattack = "knockoffnet"\nbudget = 50\n'
        "[options.training]\nepochs = 1\n[options.knockoffnet]\nepochs = 1\n[grid]\nseed = [0]\n"
    )
    settings = read(folder / "setting.toml", Settings)
    monkeypatch.setattr("ringfence_papers.study.find", lambda name: Study(name, folder, settings))
    monkeypatch.setenv("RINGFENCE_CACHE", str(tmp_path / "cache"))
    out = tmp_path / "runs"

    first = told("mine/table1", "--out", out)
    again = told("mine/table1", "--results", out)

    assert first.exit_code == 0, first.output
    (file,) = out.rglob("result.json")
    accuracy = 100 * json.loads(file.read_text())["substitute"]["accuracy"]
    assert (
        f"| digits | 90 | {accuracy:.1f} | model: lenet5; budget x0.5; seeds: 1 |" in first.output
    )
    assert f"{accuracy:.1f}" in again.output
