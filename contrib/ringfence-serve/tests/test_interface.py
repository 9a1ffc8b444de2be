"""The OpenAPI document says what the server does: schemathesis holds it to it (G5)."""

from __future__ import annotations

import os

import pytest
import schemathesis
from guards import add, running
from hypothesis import HealthCheck, settings

CASES = int(os.environ.get("RINGFENCE_CASES", "10000"))


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    folder = tmp_path_factory.mktemp("guard")
    key = add(folder, "alice")
    with running(folder) as (_, url):
        yield url, key


@pytest.fixture(scope="module")
def api(served):
    return schemathesis.openapi.from_url(f"{served[0]}/openapi.json")


schema = schemathesis.pytest.from_fixture("api")


@pytest.mark.slow
@schema.parametrize()
@settings(max_examples=CASES, deadline=None, suppress_health_check=list(HealthCheck))
def test_the_server_is_what_its_document_says(case, served):
    reply = case.call(headers={"Authorization": f"Bearer {served[1]}"})
    assert reply.status_code < 500 or reply.headers.get("Retry-After")
    if reply.status_code != 200:
        assert len(reply.content) < 300
    case.validate_response(reply)
