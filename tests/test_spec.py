"""A spec file says what the command line says; mistakes are told with file, line and key."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from ringfence.cli import main

GOOD = """# a comment
[run]
dataset = "toy_blobs"
attack = "toy_random_queries"
budget = 100
benign-clients = 2
defense = ["toy_blur"]

[options.toy_blur]
share = 0.5
"""


def call(tmp_path, text, *args):
    file = tmp_path / "run.toml"
    file.write_text(text)
    return file, CliRunner().invoke(main, ["run", "--spec", str(file), *args])


def test_a_spec_file_makes_the_run_of_the_same_options(tmp_path):
    _, by_file = call(tmp_path, GOOD, "--json")
    args = "--dataset toy_blobs --attack toy_random_queries --budget 100 --benign-clients 2"
    args += " --defense toy_blur -o toy_blur.share=0.5 --json"
    by_options = CliRunner().invoke(main, ["run", *args.split()])
    one, other = (json.loads(result.stdout) for result in (by_file, by_options))

    assert {**one, "seconds": 0} == {**other, "seconds": 0}
    assert one["run"]["options"]["toy_blur"]["share"] == 0.5


def test_the_command_line_wins_over_the_file(tmp_path):
    _, result = call(tmp_path, GOOD, "--budget", "50", "-o", "toy_blur.share=0.25", "--json")
    told = json.loads(result.stdout)["run"]

    assert (told["budget"], told["options"]["toy_blur"]["share"]) == (50, 0.25)


@pytest.mark.parametrize(
    ("old", "new", "line", "message"),
    [
        ("dataset", "datset", 3, "No option of run is named 'datset'. Did you mean 'dataset'?"),
        ("budget = 100", 'budget = "100"', 5, "Option budget must be of type int: '100'."),
        ("budget = 100", "budget = 0", 5, "Option budget must be > 0: 0."),
        ("benign-clients = 2", "benign-clients = -1", 6, "Option benign_clients must be >= 0"),
        ('["toy_blur"]', '["toy_blurr"]', 7, "Did you mean 'toy_blur'?"),
        ("share = 0.5", "share = 1.5", 10, "Option toy_blur.share must be < 1: 1.5."),
        ("share = 0.5", 'share = "x"', 10, "Option toy_blur.share must be of type float: 'x'."),
        ("share", "shaer", 10, "No option of toy_blur is named 'shaer'. Did you mean 'share'?"),
        ("[options.toy_blur]", "[options.toy_blr]", 9, "No selected plugin is named 'toy_blr'"),
        ("[run]", "[ran]", 2, "No table is named 'ran'. Did you mean 'run'?"),
        ("budget = 100", "budget = ", None, "(at line 5, column 10)"),
        ("[options.toy_blur]\n", "[options]\ntoy_blur = 3\n", 10, "[options.toy_blur]"),
    ],
)
def test_mistakes_are_told_with_file_and_line(tmp_path, old, new, line, message):
    assert old in GOOD
    file, result = call(tmp_path, GOOD.replace(old, new, 1))

    assert result.exit_code == 1, result.output
    assert result.output.startswith("Error: ")
    assert result.output.count("\n") == 1
    assert message in result.output
    assert line is None or f"{file}, line {line}: " in result.output


def test_a_file_that_is_not_there_or_no_text_is_told_in_one_line(tmp_path):
    missing = CliRunner().invoke(main, ["run", "--spec", str(tmp_path / "no.toml")])
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe\0")
    binary = CliRunner().invoke(main, ["run", "--spec", str(tmp_path / "bytes.toml")])

    assert (missing.exit_code, binary.exit_code) == (1, 1)
    assert "no.toml cannot be read as a spec file: No such file or directory." in missing.output
    assert "bytes.toml cannot be read as a spec file" in binary.output
