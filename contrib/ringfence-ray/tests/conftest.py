from __future__ import annotations

import os
import secrets
import time

import pytest
from processes import ours

os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}  # ray reads them
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # once, when it is imported


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    """Keep a test's victims out of the user's cache and of other tests."""
    monkeypatch.setenv("RINGFENCE_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="session", autouse=True)
def nothing_lingers():
    """No process of a cluster outlives the tests."""
    yield
    until = time.monotonic() + 30
    while left := ours():
        assert time.monotonic() < until, f"processes are left behind: {left}"
        time.sleep(0.5)
