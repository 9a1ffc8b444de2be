from __future__ import annotations

from importlib.metadata import EntryPoint

import pytest

from ringfence import plugins

ENTRIES = {
    "ringfence.tables": {"runs": "ringfence_bench.runs:Runs"},
    "ringfence.reports": {
        "html": "ringfence_bench.html:Html",
        "csv": "ringfence_bench.exports:Csv",
        "parquet": "ringfence_bench.exports:Parquet",
        "plots": "ringfence_bench.exports:Plots",
    },
}


@pytest.fixture(autouse=True)
def installed(monkeypatch):
    """Install the reports as pyproject.toml will."""

    def fake(group):
        return [EntryPoint(name, value, group) for name, value in ENTRIES.get(group, {}).items()]

    monkeypatch.setattr(plugins, "entry_points", fake)
    for kind, what in (("tables", "table"), ("reports", "report")):
        monkeypatch.setitem(plugins.KINDS, kind, what)
