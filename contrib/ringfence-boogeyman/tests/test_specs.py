"""The study: every spec file names what is installed, and says what it stands for."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

import pytest

from ringfence import grid

SPECS = sorted((files("ringfence_boogeyman") / "specs").iterdir())
read = cache(grid.read)


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)
def test_a_spec_is_a_sweep_of_installed_plugins(spec):
    plan = read(spec)

    assert plan.runs
    assert spec.read_text().startswith("# ")
    assert {run.named["attack"] for run in plan.runs} == {"knockoffnet"}


def test_every_table_and_figure_has_its_spec():
    names = {spec.stem for spec in SPECS}

    assert names >= {"table2", "table3", "table4", "table5", "table6", "table7"}
    assert names >= {"figure1", "figure2", "pools", "indistribution"}


def test_three_seeds_are_run_of_everything():
    for spec in SPECS:
        assert {run.named["seed"] for run in read(spec).runs} == {0, 1, 2}, spec.name
