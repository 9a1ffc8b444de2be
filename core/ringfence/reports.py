"""What strategies say of themselves, as plain numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from ringfence.errors import BrokenPlugin
from ringfence.protocols import Reporter


def report_of(strategy: object) -> dict[str, float]:
    """Return what a strategy wants in the result file; nothing if it has no ``report()``."""
    if not isinstance(strategy, Reporter):
        return {}
    return {str(name): number(value, strategy) for name, value in strategy.report().items()}


def reports_of(strategies: Mapping[str, object]) -> dict[str, dict[str, float]]:
    """Return the reports of several strategies by their names."""
    return {name: report_of(strategy) for name, strategy in strategies.items()}


def number(value: Any, origin: object) -> float:
    """Return a number of Python's for one of NumPy's or PyTorch's; ``origin`` is blamed."""
    plain = value.item() if hasattr(value, "item") else value
    if isinstance(plain, (bool, int, float)) and math.isfinite(plain):
        return plain
    raise BrokenPlugin(f"{type(origin).__name__} reports {value!r}, which is not a finite number.")
