"""What every executor promises. Ringfence's docs/contracts.md explains each promise."""

import pytest


@pytest.mark.slow  # a Python of its own for each run: python -m pytest -m slow
def test_keeps_its_promises(contract):
    contract()
