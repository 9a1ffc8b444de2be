"""The study: every sweep names what is installed, every table finds the runs of its cells."""

from __future__ import annotations

import tomllib
from functools import cache

import pytest
from ringfence_boogeyman.study import Boogeyman

from ringfence import grid
from ringfence.plugins import build

FOLDER = Boogeyman.folder
SWEEPS = sorted((FOLDER / "sweeps").glob("*.toml"))
TABLES = sorted(file for file in FOLDER.glob("*.toml") if file.name != "setting.toml")
read = cache(grid.read)


@pytest.mark.parametrize("sweep", SWEEPS, ids=lambda file: file.stem)
def test_a_sweep_is_one_of_installed_plugins_with_three_seeds(sweep):
    plan = read(sweep)

    assert sweep.read_text().startswith("# ")
    assert {run.named["attack"] for run in plan.runs} == {"knockoffnet"}
    assert {run.named["seed"] for run in plan.runs} == {0, 1, 2}


def test_every_table_and_figure_is_there():
    names = {file.stem for file in TABLES}

    assert names >= {"table2", "table3", "table4a", "table4b", "table5", "table6", "table7"}
    assert names >= {"figure1", "figure2", "pools", "indistribution"}
    assert build("studies", "boogeyman").folder == FOLDER


@pytest.mark.parametrize("table", TABLES, ids=lambda file: file.stem)
def test_a_row_of_a_table_has_runs_and_every_sweep_a_table(table):
    told = tomllib.loads(table.read_text())
    runs = [run for name in told["sweeps"] for run in read(FOLDER / "sweeps" / f"{name}.toml").runs]
    for row in told["rows"]:
        at = row["at"]
        own = [run for run in runs if all(value_of(run, name) == at[name] for name in at)]

        assert own, at
        for column in told["columns"]:
            where = column.get("where", {})
            assert any(
                all(value_of(run, name) == value for name, value in where.items()) for run in own
            ), (at, column["name"])


def value_of(run, name):
    plugin, dot, option = name.partition(".")
    if dot:
        return run.named["options"].get(plugin, {}).get(option)
    return run.named.get(name)


def test_no_sweep_is_of_no_table():
    used = {name for table in TABLES for name in tomllib.loads(table.read_text())["sweeps"]}

    assert used == {sweep.stem for sweep in SWEEPS}
