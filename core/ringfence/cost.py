"""What the attack costs the thief, and the defense its operator."""

from __future__ import annotations

from collections.abc import Mapping

from ringfence.protocols import Store

#: US dollars per query: 1.50 for a thousand, the list price of the large image services
PRICE = 0.0015


def attack_cost(queries: int, stages: Mapping[str, float]) -> dict[str, float | None]:
    """Return the thief's bill: the queries' price, and hours on the device."""
    seconds = stages.get("attack")
    hours = None if seconds is None else seconds / 3600
    return {"price_usd": queries * PRICE, "device_hours": hours}


def defense_cost(
    clock: Mapping[str, float], queries: int, clients: int, store: Store
) -> dict[str, float | None]:
    """Return the operator's bill, ``queries`` and ``clients`` being all that were answered.

    Milliseconds per query in the model and, on top of that, in detectors and responders; bytes
    per client of states and logs, and of the ledger in all.
    """
    per_query = {name: 1000 * clock[name] / queries for name in clock} if queries else {}
    return {
        "model_ms_per_query": per_query.get("model"),
        "added_ms_per_query": per_query.get("defense"),
        "bytes_per_client": store.memory() / clients if clients else None,
        "ledger_bytes": store.ledger.memory(),
    }
