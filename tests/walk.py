"""Where an object leads."""

from __future__ import annotations

import attrs
import torch


def reachable(start):
    """Yield everything that can be reached from an object, by any attribute or closure."""
    todo, seen = [start], {}
    while todo:
        one = todo.pop()
        if id(one) in seen or isinstance(one, (str, int, float, bytes, type(None), type)):
            continue
        seen[id(one)] = one
        yield one
        if isinstance(one, dict):
            todo += [*one.keys(), *one.values()]
        elif isinstance(one, (list, tuple, set, frozenset)):
            todo += one
        elif attrs.has(type(one)):
            todo += [getattr(one, f.name) for f in attrs.fields(type(one))]
        elif isinstance(one, torch.nn.Module):
            todo += [*one.parameters(), *one.buffers()]
        elif not isinstance(one, torch.Tensor):
            todo += [getattr(one, name, None) for name in ("func", "args", "keywords", "__self__")]
            todo += [cell.cell_contents for cell in getattr(one, "__closure__", None) or ()]
