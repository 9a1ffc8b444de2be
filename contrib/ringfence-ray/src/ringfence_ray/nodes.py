"""What the nodes of a cluster have room for, when nothing else runs on them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ringfence.jobs import Resources

GIB = 1 << 30  #: bytes


def offers(nodes: Iterable[Mapping[str, Any]]) -> list[Resources]:
    """Return what each node that is there has in all; ``nodes`` as ``ray.nodes`` tells them."""
    alive = [node["Resources"] for node in nodes if node["Alive"]]
    return [
        Resources(cpus=int(has["CPU"]), gpus=has.get("GPU", 0.0), memory=has.get("memory", 0) / GIB)
        for has in alive
        if has.get("CPU", 0) >= 1  # a head that takes no tasks has none
    ]


def refusal(need: Resources, nodes: Iterable[Resources]) -> str:
    """Return why no node could ever hold ``need``; nothing if one could."""
    if need.gpus > 1 and need.gpus != int(need.gpus):
        return f"Ray gives out {need.gpus:g} GPUs as a fraction of one or as whole ones only."
    nodes = list(nodes)
    if any(_fits(need, node) for node in nodes):
        return ""
    each = "; ".join(sorted({str(node) for node in nodes})) or "none"
    return (
        f"A run needs {need}; the nodes of this Ray cluster offer: {each}. Ask for less in "
        "[resources], or say -o ray.grows=true if nodes are added."
    )


def _fits(need: Resources, node: Resources) -> bool:
    return need.cpus <= node.cpus and need.gpus <= node.gpus and need.memory <= node.memory
