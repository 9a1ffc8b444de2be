"""``ringfence new`` writes packages that work as they are."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner
from environments import fresh_environment, outcome_of_tests

from ringfence import scaffold
from ringfence.cli import main
from ringfence.errors import BadOption, DuplicateName, RingfenceError
from ringfence.testing import CHECKS, NAMED

KINDS = sorted(scaffold.KINDS)


def invoke(*arguments):
    return CliRunner().invoke(main, ["new", *map(str, arguments)])


def imported(folder, name):
    """Return the module of a new package, which is not installed."""
    file = folder / "src" / f"ringfence_{name}" / "__init__.py"
    spec = importlib.util.spec_from_file_location(f"new_{name}", file)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # attrs looks there for the types of fields
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("kind", KINDS)
def test_a_new_plugin_keeps_every_promise_of_its_kind(kind, tmp_path):
    folder = scaffold.write(kind, f"my{kind}", tmp_path)
    told = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    [(group, entries)] = told["entry-points"].items()
    [(name, target)] = entries.items()
    loaded = getattr(imported(folder, name), target.partition(":")[2])

    assert target.partition(":")[0] == f"ringfence_my{kind}"
    assert (group, name) == (f"ringfence.{scaffold.KINDS[kind]}", f"my{kind}")
    check = CHECKS.get(f"make_{kind}") or NAMED[scaffold.KINDS[kind]]
    check(loaded if kind == "metric" else loaded())


@pytest.mark.parametrize("kind", KINDS)
def test_all_files_are_there_and_nothing_is_left_to_fill_in(kind, tmp_path):
    folder = scaffold.write(kind, "mine", tmp_path)
    files = {str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file()}

    package = {"src/ringfence_mine/__init__.py", "src/ringfence_mine/py.typed"}
    assert files == {"pyproject.toml", "README.md", "tests/test_contracts.py", *package}
    for file in files:
        assert "$" not in (folder / file).read_text()
    assert list(tmp_path.iterdir()) == [folder], "no draft is left"


def test_the_command_says_what_comes_next(tmp_path):
    done = invoke("detector", "mine", "--into", tmp_path)

    assert done.exit_code == 0
    assert f"Wrote {tmp_path / 'ringfence-mine'}. Next: cd" in done.output


@pytest.mark.parametrize(
    "name",
    ["", "My", "my-own", "my_own", "2nd", "a" * 33, "../x", "class", "none", "x y", "ä", "x\n"],
)
def test_what_cannot_be_a_name_is_refused(name, tmp_path):
    with pytest.raises(BadOption, match="one lower-case word"):
        scaffold.write("detector", name, tmp_path)

    assert list(tmp_path.iterdir()) == []


def test_a_name_that_is_taken_is_refused_with_its_owner(tmp_path):
    with pytest.raises(DuplicateName, match=r"'dawn' is taken by ringfence \d"):
        scaffold.write("detector", "dawn", tmp_path)
    assert scaffold.write("attack", "dawn", tmp_path), "of another kind it is free"


def test_a_folder_that_is_there_is_left_alone(tmp_path):
    folder = tmp_path / "ringfence-mine"
    folder.mkdir()
    (folder / "work.py").write_text("mine")
    with pytest.raises(RingfenceError, match=r"exists\. Choose another name"):
        scaffold.write("detector", "mine", tmp_path)

    assert [file.name for file in folder.iterdir()] == ["work.py"]


def test_an_unknown_kind_names_all_kinds():
    done = invoke("plugin", "mine")

    assert done.exit_code == 2
    assert all(kind in re.sub(r"\s", " ", done.output) for kind in KINDS)


@pytest.mark.parametrize("tool", [["check", "--ignore", "D1"], ["format", "--check"]])
def test_new_packages_are_lint_free(tool, tmp_path):
    pytest.importorskip("ruff", reason="ruff comes with the extra dev")
    for kind in KINDS:
        scaffold.write(kind, f"my{kind}", tmp_path)
    settings = ["--config", str(Path(__file__).parents[1] / "pyproject.toml")]
    command = [sys.executable, "-m", "ruff", *tool, *settings, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout


# a build and a start of torch each: python -m pytest -m slow tests/test_scaffold.py
@pytest.mark.slow
def test_new_packages_pass_their_tests_where_they_are_installed(tmp_path):
    kinds = ("dataset", "detector", "metric")  # what differs is what pytest is to find
    folders = [scaffold.write(kind, f"my{kind}", tmp_path) for kind in kinds]
    python = fresh_environment(tmp_path / "venv", *folders)
    for folder in folders:
        code, told = outcome_of_tests(python, folder)

        assert code == 0, told
        assert "2 passed" in told
