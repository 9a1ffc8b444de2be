from __future__ import annotations

import pytest


@pytest.fixture(scope="session")
def victims(tmp_path_factory):
    """Return one cache for all tests that train a victim on digits: most share it."""
    return tmp_path_factory.mktemp("victims")
