from __future__ import annotations

import pytest
import torch
from guards import add, server
from starlette.testclient import TestClient

torch.set_num_threads(1)


@pytest.fixture
def guard(tmp_path):
    """Yield a function that makes a served guard, and a key of its client alice."""
    made = []

    def make(**settings):
        key = add(tmp_path, "alice")
        served = server(tmp_path, **settings)
        client = TestClient(served.app(), raise_server_exceptions=False)
        client.__enter__()
        made.append((client, served))
        client.key, client.served, client.folder = key, served, tmp_path
        return client

    yield make
    for client, served in made:
        client.__exit__(None, None, None)
        served.batcher.engine.store.database.close()
