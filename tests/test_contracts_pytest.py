"""The plugin of pytest that runs contracts over the entry points of a distribution."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

TOYS = Path(__file__).parent / "toys"
TEST = "def test_keeps_its_promises(contract):\n    contract()\n"


@pytest.fixture
def checked(pytester):
    """Return what runs one test of contracts, and returns its outcome."""

    def run(*arguments, settings=""):
        pytester.makepyfile(TEST)
        pytester.makeini(f"[pytest]\npythonpath = {TOYS}\n{settings}\n")
        plugins = ("-p", "ringfence.testing.pytest")
        return pytester.runpytest_inprocess("-v", *plugins, *arguments)

    return run


def test_all_that_one_distribution_brings_is_checked(checked):
    settings = "ringfence_options =\n    toy_mlp.width=9\n"
    outcome = checked(
        "--ringfence-dist", "Ringfence_toys", "-k", "mlp or detector", settings=settings
    )
    told = outcome.stdout.str()

    assert outcome.ret == 0, told
    for one in ("toy_detector-make_detector", "toy_mlp-models"):
        assert f"test_keeps_its_promises[{one}] PASSED" in told
    assert "2 passed, 8 deselected" in told


def test_a_distribution_that_brings_nothing_is_an_error(checked):
    outcome = checked(settings="ringfence_dist = nosuch")

    assert outcome.ret != 0
    assert "The distribution 'nosuch' brings no plugin. Is it installed" in outcome.stdout.str()
