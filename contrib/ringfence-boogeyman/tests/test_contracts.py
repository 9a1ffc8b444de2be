"""What every plugin promises. Ringfence's docs/contracts.md explains each promise."""


def test_keeps_its_promises(contract):
    contract()
