"""The OpenAPI document says what the server does: schemathesis holds it to it (G5).

``RINGFENCE_CASES=5000`` for the figure in the README; its pytest plugin is not needed.
"""

from __future__ import annotations

import os

import pytest
import schemathesis
from guards import add, running
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

CASES = int(os.environ.get("RINGFENCE_CASES", "100"))
CHECKS = [not_a_server_error, content_type_conformance]
CHECKS += [response_schema_conformance, status_code_conformance]


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    folder = tmp_path_factory.mktemp("guard")
    key = add(folder, "alice")
    with running(folder) as (_, url):
        yield url, key


@pytest.mark.slow
def test_the_server_is_what_its_document_says(served):
    url, key = served
    asked = {}
    for found in schemathesis.openapi.from_url(f"{url}/openapi.json").get_all_operations():
        operation = found.ok()
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
            if mode is GenerationMode.NEGATIVE and operation.path != "/v1/predict":
                continue  # they take nothing that could be wrong

            @settings(max_examples=CASES, deadline=None, suppress_health_check=list(HealthCheck))
            @given(case=operation.as_strategy(generation_mode=mode))
            def holds(case):
                reply = case.call(headers={"Authorization": f"Bearer {key}"})
                asked[reply.status_code] = asked.get(reply.status_code, 0) + 1
                assert reply.status_code == 200 or len(reply.content) < 300
                case.validate_response(reply, checks=CHECKS)

            holds()
    assert asked[200] > 1
    assert not [status for status in asked if status >= 500], asked
    print(asked)
