"""Result files become rows; what is no result file is named and left out."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import folders
import pytest

from ringfence.errors import RingfenceError
from ringfence_bench.columns import COLUMNS
from ringfence_bench.runs import Runs

ROOT = Path(__file__).parents[2]


def read(folder, results, **options):
    return Runs(**options).read([folders.write(folder, results)])


def test_a_row_holds_the_run_and_its_figures(tmp_path):
    row = read(tmp_path, [folders.defended("dawn", seed=2)]).frame.row(0, named=True)

    assert (row["defense"], row["defender"], row["seed"]) == ("dawn", "dawn", 2)
    assert row["setting"] == "mnist, lenet5"
    assert (row["p_substitute"], row["p_control"]) == (1e-9, 0.4)
    assert (row["stolen"], row["false_claims"]) == (True, 0)
    assert row["data_victim"] == "25 47 e6"


def test_what_a_metric_returned_is_there_as_json(tmp_path):
    result = {**folders.result(), "metrics": {"b": {"x": [1, None]}, "a": {}}}
    frame = read(tmp_path, [result]).frame

    assert frame["metrics"].item() == '{"a":{},"b":{"x":[1,null]}}'


def test_every_column_is_documented():
    text = (ROOT / "docs" / "reports.md").read_text()
    for column in COLUMNS:
        assert f"`{column.name}`" in text, column.name


BROKEN = {
    "cut": ('{"schema": 1, "run"', "it is no JSON"),
    "nan": ('{"schema": NaN}', "NaN is no number of JSON"),
    "deep": ("[" * 100_000, "it is no JSON"),
    "list": ("[1]", "it has no schema"),
    "newer": ('{"schema": 2}', "its schema is '2', and known are: 1"),
    "flag": ('{"schema": true}', "its schema is 'True'"),
    "foreign": ('{"schema": 1, "score": 3}', "it is no result of a run: run"),
    "large": ('{"a": "' + "x" * (4 * 2**20) + '"}', "it has more than 4 MiB"),
    "latin": (b'{"schema": "\xff"}', "it is no JSON"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_file_is_named_and_left_out(tmp_path, kind):
    content, message = BROKEN[kind]
    (tmp_path / "bad").mkdir()
    file = tmp_path / "bad" / "result.json"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    found = read(tmp_path / "good", [folders.result()]), Runs().read([tmp_path])

    assert [len(one.frame) for one in found] == [1, 1]
    (line,) = found[1].warnings
    assert line.startswith(f"{file} is left out: ")
    assert message in line


@pytest.mark.parametrize(
    ("path", "value"),
    [("substitute__accuracy", "0.9"), ("run__seed", True), ("run__seed", 2**63),
     ("substitute__accuracy", 10**400), ("run__defense", "amao"), ("evidence", [1]),
     ("attack", []), ("run__options", None)],
)  # fmt: skip
def test_a_figure_of_another_type_makes_the_file_foreign(tmp_path, path, value):
    results = [folders.result(), folders.result(**{"run__id": "other", path: value})]

    assert len(read(tmp_path, results).collected.left_out) == 1


def test_a_pipe_is_not_waited_for(tmp_path):
    folders.write(tmp_path, [folders.result()])
    (tmp_path / "pipe").mkdir()
    os.mkfifo(tmp_path / "pipe" / "result.json")

    assert "no regular file" in Runs().read([tmp_path]).warnings[0]


def test_the_same_run_counts_once_whatever_its_clock_says(tmp_path):
    one, other = folders.result(), folders.result(seconds__total=1.0)
    third = folders.result(substitute__accuracy=0.1)
    found = read(tmp_path, [one, other, third])

    assert len(found.frame) == 1
    assert ["other figures" in line for line in found.warnings] == [False, True]


def test_a_folder_given_twice_is_read_once(tmp_path):
    folders.write(tmp_path, [folders.result()])
    found = Runs().read([tmp_path, tmp_path / "run-00000", tmp_path / "run-00000/result.json"])

    assert (found.collected.files, found.warnings) == (1, [])


def test_the_undefended_run_beside_a_defended_one_is_a_run(tmp_path):
    beside = folders.result()
    beside.pop("seconds")
    found = read(tmp_path, [folders.defended("dawn", baseline=beside)])

    assert {"dawn", "none"} == {*found.frame["defender"]}
    assert found.warnings == []


def test_stages_and_hidden_folders_are_not_searched(tmp_path):
    folders.write(tmp_path, [folders.result()])
    for name in ("stages", ".trash"):
        folders.write(tmp_path / name, [folders.result(run__seed=7)])

    assert Runs().read([tmp_path]).frame["seed"].to_list() == [0]


def test_no_run_at_all_says_how_to_make_one(tmp_path):
    with pytest.raises(RingfenceError, match="ringfence run --out"):
        Runs().read([tmp_path])
    with pytest.raises(RingfenceError, match="is not there"):
        Runs().read([tmp_path / "nowhere"])


def test_options_that_differ_make_other_defenders_and_show_in_their_names(tmp_path):
    runs = [
        folders.result(run__defense=["a"], run__options={"a": {"rate": r, "same": 1}})
        for r in (0.1, 0.2)
    ]
    skipped = folders.result(
        run__defense=["a"], run__options={"a": {"rate": 0.1, "same": 1}}, run__skip=["a.train"]
    )
    found = read(tmp_path, [*runs, skipped]).frame["defender"].to_list()

    assert found == ["a [rate=0.1, without a.train]", "a [rate=0.1]", "a [rate=0.2]"]


def test_who_trained_the_victim(tmp_path):
    runs = [
        folders.result(run__seed=0),
        folders.result(run__seed=1, victim__trainer="amao"),
        folders.result(run__seed=2, run__marks=["given_victim"]),
        folders.result(run__seed=3, run__oracle="http", victim__accuracy=None),
    ]
    frame = read(tmp_path, runs).frame

    assert frame.sort("seed")["victim_trained"].to_list() == ["plain", "amao", "given", None]


@pytest.mark.slow
def test_ten_thousand_files_take_ten_seconds_and_500_mb(tmp_path):
    results = (
        folders.defended(d, a, form, b, s)
        for s in range(50)
        for d in folders.DEFENSES
        for a in (*folders.ATTACKS, "other", "fifth")
        for form in ("soft", "hard")
        for b in (1000, 5000, 10000, 20000, 60000)
    )
    folders.write(tmp_path / "runs", results)
    command = [
        sys.executable, "-c",
        "import json, sys, time; start = time.perf_counter()\n"
        "from pathlib import Path; from ringfence_bench.runs import Runs\n"
        "found = Runs().read([Path(sys.argv[1])]); found.sheets; json.dumps(found.digest())\n"
        "from ringfence.memory import peak_memory\n"
        "print(len(found.frame), time.perf_counter() - start, peak_memory())",
        str(tmp_path / "runs"),
    ]  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'core'}:{ROOT / 'plugins'}"}
    told = subprocess.run(
        command, capture_output=True, text=True, check=True, env=environment
    ).stdout
    runs, seconds, mib = map(float, told.split())
    print(f"{runs:.0f} runs, {seconds:.1f} s, {mib:.0f} MiB")

    assert runs == 10_000
    assert seconds < 10
    assert mib < 500
