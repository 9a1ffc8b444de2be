"""What every executor promises. Ringfence's docs/contracts.md explains each promise."""

import pytest


@pytest.mark.slow  # a cluster is started: python -m pytest -m slow tests/test_contracts.py
def test_keeps_its_promises(contract):
    contract()
