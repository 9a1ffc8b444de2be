"""What the core writes and what reports read are the same names."""

from __future__ import annotations

from ringfence import identity
from ringfence_bench.identities import LIBRARIES


def test_the_libraries_that_every_run_has_are_known():
    assert {"python", *identity.LIBRARIES} == LIBRARIES
