"""The packages in contrib/, installed as a third party's are, pass their own tests."""

from __future__ import annotations

from pathlib import Path

import pytest
from environments import fresh_environment, outcome_of_tests

CONTRIB = Path(__file__).parents[1] / "contrib"
#: those that need nothing but the core; others have an environment of tox of their own
PACKAGES = ["ringfence-datasetinference", "ringfence-entropy", "ringfence-example"]


# a build and a start of torch each: python -m pytest -m slow tests/test_contrib.py
@pytest.mark.slow
def test_contrib_packages_pass_their_tests_in_a_fresh_environment(tmp_path):
    python = fresh_environment(tmp_path / "venv", *(CONTRIB / name for name in PACKAGES))
    for name in PACKAGES:
        code, told = outcome_of_tests(python, CONTRIB / name)

        assert code == 0, told
        assert "skipped" not in told


@pytest.mark.parametrize("name", PACKAGES)
def test_a_contrib_package_runs_the_contracts_over_all_it_brings(name):
    settings = (CONTRIB / name / "pyproject.toml").read_text()

    assert f'ringfence_dist = "{name}"' in settings
    assert "contract()" in (CONTRIB / name / "tests" / "test_contracts.py").read_text()
