"""A plugin of pytest: one test for each contract of a distribution's own plugins.

Opt in with ``-p ringfence.testing.pytest``, and take the fixture::

    def test_keeps_its_promises(contract):
        contract()

``--ringfence-dist NAME``, or ``ringfence_dist`` in pytest's settings, names the distribution;
without it all that is installed is tested. ``ringfence_options`` are lines NAME.FIELD=VALUE.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from ringfence.commands.run import parse
from ringfence.errors import RingfenceError
from ringfence.testing.installed import Contract, contracts

FIXTURE = "contract"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let the user name a distribution, and options of its plugins."""
    told = "test the plugins of this distribution only"
    parser.getgroup("ringfence").addoption("--ringfence-dist", metavar="NAME", help=told)
    parser.addini("ringfence_dist", told, default="")
    parser.addini("ringfence_options", "options of plugins: NAME.FIELD=VALUE", type="linelist")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give every test that wants a contract one of each."""
    if FIXTURE in metafunc.fixturenames:
        found = _found(metafunc.config)
        metafunc.parametrize(FIXTURE, found, indirect=True, ids=[str(one) for one in found])


@pytest.fixture
def contract(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], None]:
    """Return what checks one contract."""
    one: Contract = request.param
    return lambda: one.check(tmp_path)


def _found(config: pytest.Config) -> list[Contract]:
    """Return the contracts; none at all is an error, or a typo would look like success."""
    name = config.getoption("--ringfence-dist") or config.getini("ringfence_dist") or None
    try:
        found = list(contracts(name, parse(tuple(config.getini("ringfence_options")))))
    except RingfenceError as error:
        raise pytest.UsageError(str(error)) from error
    if not found:
        raise pytest.UsageError(
            f"The distribution {name!r} brings no plugin. Is it installed, with entry points?"
        )
    return found
