"""``ringfence report``: what it prints and writes."""

from __future__ import annotations

import builtins
import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import folders
import polars as pl
import pytest
from click.testing import CliRunner

from ringfence.cli import Group
from ringfence.commands.report import report

ROOT = Path(__file__).parents[2]
HOSTILE = "<script>alert('$x$')</script>&\"it\""


@pytest.fixture
def runs(tmp_path):
    return folders.write(tmp_path / "runs", folders.grid())


def call(*arguments):
    group = Group("ringfence", commands=[report])
    return CliRunner().invoke(group, ["report", *map(str, arguments)])


def page(tmp_path, results, name="report.html"):
    place = folders.write(tmp_path / f"runs-{name}", results)
    told = call(place, "--html", tmp_path / name)

    assert told.exit_code == 0, told.output
    return (tmp_path / name).read_text()


def test_stdout_holds_headlines_comparisons_and_notes(runs):
    told = call(runs)

    assert told.exit_code == 0
    assert "Worst case over attackers: mnist, lenet5" in told.stdout
    assert re.search(r"deceptive +0\.\d{4} ± 0\.\d{4} +3 ", told.stdout)
    assert "note: mnist, lenet5: the headline table mixes rates" in told.stdout
    assert "\x1b" not in told.stdout
    assert " \n" not in told.stdout
    assert told.stderr == ""


def test_json_is_all_that_stdout_holds(runs, tmp_path):
    (runs / "bad").mkdir()
    (runs / "bad" / "result.json").write_text("{")
    told = call(runs, "--json", "--csv", tmp_path / "runs.csv")
    digest = json.loads(told.stdout)

    assert (digest["files"], digest["runs"], len(digest["left_out"])) == (217, 216, 1)
    assert digest["headlines"][0]["worst"]["n"] == 3
    assert "Warning: " in told.stderr
    assert "result.json is left out" in told.stderr


def test_csv_and_parquet_hold_every_run(runs, tmp_path):
    told = call(runs, "--csv", tmp_path / "a" / "r.csv", "--parquet", tmp_path / "r.parquet")
    typed = pl.read_parquet(tmp_path / "r.parquet")

    assert told.exit_code == 0
    assert typed.shape[0] == pl.read_csv(tmp_path / "a" / "r.csv").shape[0] == 216
    assert typed.schema["victim_accuracy"] == pl.Float64


def test_any_installed_report_is_written_by_its_name(runs, tmp_path):
    told = call(runs, "--report", "csv", tmp_path / "a.csv", "--csv", tmp_path / "b.csv")

    assert told.exit_code == 0
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()
    assert "No report is named 'cvs'" in call(runs, "--report", "cvs", tmp_path / "c").stderr


def test_plots_are_svg_and_png(runs, tmp_path):
    call(runs, "--plots", tmp_path / "plots")
    made = sorted(file.name for file in (tmp_path / "plots").iterdir())

    assert {"attacks-01.svg", "attacks-01.png", "queries-06.svg", "utility-02.png"} <= {*made}
    assert len(made) == 20


def test_the_page_is_the_same_twice(tmp_path):
    results = folders.grid(attacks=("random",), labels=("soft",), budgets=(5000, 60000))
    folders.write(tmp_path / "runs", results)
    for name in ("a", "b"):
        call(tmp_path / "runs", "--html", tmp_path / f"{name}.html", "--plots", tmp_path / name)

    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()
    for file in (tmp_path / "a").iterdir():
        assert file.read_bytes() == (tmp_path / "b" / file.name).read_bytes()


def test_the_order_of_folders_changes_no_statistic(tmp_path):
    results = folders.grid(budgets=(60000,))
    told = [
        json.loads(call(folders.write(tmp_path / name, some), "--json").stdout)
        for name, some in (("a", results), ("b", results[::-1]))
    ]

    assert [t.pop("places") for t in told]
    assert told[0] == told[1]


class Page(HTMLParser):
    """Collects tags, ids and addresses, and checks that tags close."""

    EMPTY = ("meta", "br", "path", "use", "link")

    def __init__(self):
        super().__init__()
        self.open, self.tags, self.ids, self.addresses = [], [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.ids += [value for name, value in attrs if name == "id"]
        self.addresses += [v for n, v in attrs if n in ("src", "href", "xlink:href", "action")]
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in self.EMPTY:
            assert self.open.pop() == tag


def test_the_page_needs_nothing_from_outside(tmp_path):
    text = page(tmp_path, folders.grid())
    parsed = Page()
    parsed.feed(text)

    assert parsed.open == []
    assert not {"script", "link", "img", "iframe", "object", "form"} & {*parsed.tags}
    assert all(address.startswith("#") for address in parsed.addresses)
    assert "http:" not in text
    assert "https:" not in text
    assert len(parsed.ids) == len({*parsed.ids})
    assert {a[1:] for a in parsed.addresses} <= {*parsed.ids}


def test_the_page_leaves_no_colour_that_the_dark_could_hide(tmp_path):
    svg = "".join(re.findall("<svg.*?</svg>", page(tmp_path, folders.grid()), re.DOTALL))

    assert "fill: currentColor" in svg
    assert re.findall(r"#[0-9a-f]{6}\b", svg) == []


def test_names_from_files_are_escaped_everywhere(tmp_path):
    runs = [
        folders.defended(HOSTILE, HOSTILE, seed=s, budget=b, run__dataset=HOSTILE)
        for s in range(3) for b in (100, 1000)
    ]  # fmt: skip
    text = page(tmp_path, [*runs, *folders.grid(("",), run__dataset=HOSTILE)])

    assert "<script" not in text
    assert "&lt;script&gt;" in text


ODD = {
    "one": [folders.result()],
    "oracle": [
        folders.result(
            run__oracle="http", run__model=None, run__budget=None, run__pool=None, run__labels=None,
            run__device=None, run__seed=None, victim__accuracy=None, substitute__fidelity=None,
            substitute__recovery=None, benign=dict.fromkeys(folders.RESULT["benign"]),
        )
    ],
    "no-figure": [folders.result(substitute__accuracy=None)],
    "zero": [folders.result(substitute__accuracy=0.0, victim__accuracy=0.0)],
    "equal": [folders.defended(d, seed=0, substitute__accuracy=0.5) for d in ("", "dawn")],
}  # fmt: skip


@pytest.mark.parametrize("kind", ODD)
def test_little_or_nothing_to_show_is_still_a_report(tmp_path, kind):
    assert "</html>" in page(tmp_path, ODD[kind])


def test_a_missing_library_names_the_extra(runs, tmp_path, monkeypatch):
    real = builtins.__import__

    def missing(name, *args, **kwargs):
        if name.partition(".")[0] == "jinja2":
            raise ModuleNotFoundError("No module named 'jinja2'", name="jinja2")
        return real(name, *args, **kwargs)

    monkeypatch.delitem(sys.modules, "ringfence_bench.page", raising=False)
    monkeypatch.setattr(builtins, "__import__", missing)
    told = call(runs, "--html", tmp_path / "r.html")

    assert told.exit_code == 1
    assert "Reports need jinja2" in told.stderr
    assert "pip install 'ringfence[report]'" in told.stderr


@pytest.mark.parametrize("kind", ["html", "csv", "parquet", "plots"])
def test_a_place_that_cannot_be_written_is_an_error_in_one_line(tmp_path, kind):
    folders.write(tmp_path / "runs", [folders.result()])
    (tmp_path / "file").write_text("")
    told = call(tmp_path / "runs", f"--{kind}", tmp_path / "file" / "it")

    assert told.exit_code == 1
    assert "it cannot be written (" in told.stderr
    assert told.stderr.endswith(f"Choose another --{kind}.\n")


def test_pools_that_differ_tell_attackers_apart(tmp_path):
    runs = [
        folders.defended("", budget=b, run__pool=pool)
        for pool in ("kmnist", "svhn") for b in (100, 1000)
    ]  # fmt: skip
    text = page(tmp_path, runs)

    assert "knockoffnet, soft labels, pool kmnist" in text
    assert "knockoffnet, pool svhn" in text


def test_an_empty_folder_is_an_error_in_one_line(tmp_path):
    told = call(tmp_path)

    assert told.exit_code == 1
    assert told.stderr.startswith("Error: No finished run is in")


def test_the_plugins_import_no_library_before_they_work():
    told = subprocess.run(
        [
            sys.executable, "-c",
            "import sys; import ringfence.commands.report, ringfence_bench.runs, "
            "ringfence_bench.html, ringfence_bench.exports; "
            "print([m for m in ('polars', 'matplotlib', 'jinja2', 'torch', 'scipy', 'rich') "
            "if m in sys.modules])",
        ],
        capture_output=True, text=True, check=True,
        env={"PYTHONPATH": f"{ROOT / 'core'}:{ROOT / 'plugins'}"},
    )  # fmt: skip

    assert told.stdout == "[]\n"


@pytest.mark.parametrize(("seeds", "mixed"), [((0, 1), False), ((0, 0), True)])
def test_other_data_of_the_victim_are_told_within_a_seed_only(tmp_path, seeds, mixed):
    runs = [folders.defended("", seed=seed, run__id=f"run-{n}") for n, seed in enumerate(seeds)]
    for number, run in enumerate(runs):
        run["run"]["data"] = {**run["run"]["data"], "train": f"train-{number}"}
    told = call(folders.write(tmp_path / "runs", runs))

    assert "2 runs of 2 result files" in told.stdout
    assert ("mixes 2 data of victims" in told.stdout) is mixed
