"""The answer in progress: what it has touched of a store."""

from __future__ import annotations

from typing import Any

from attrs import define, field
from torch import Tensor

from ringfence.answers import refused
from ringfence.errors import BrokenPlugin
from ringfence.ledger import Marks
from ringfence.log import Log
from ringfence.state import Key


@define(eq=False)
class Batch:
    """What the answer in progress has touched."""

    states: dict[Key, Any] = field(factory=dict)
    logs: dict[Key, tuple[Log, int]] = field(factory=dict)  #: with their sizes before
    marks: list[tuple[str, Tensor, str]] = field(factory=list)
    settled: list[Marks] = field(factory=list)  #: for the ledger, once the batch has ended well

    def altered(self, sent: Tensor, spared: Tensor | None = None) -> list[tuple[str, Tensor, str]]:
        """Return plugin, rows (indices) and kind of what belongs in the ledger.

        ``spared`` rows ``(N,)`` bool were answered honestly, refused ones were told nothing.
        """
        if not self.marks:
            return []
        told = ~refused(sent) if spared is None else ~(refused(sent) | spared)
        kept = [(plugin, rows[told[rows]], kind) for plugin, rows, kind in self.marks]
        return [one for one in kept if len(one[1])]


def outside() -> BrokenPlugin:
    """Return the error for what is only possible while an answer is made."""
    return BrokenPlugin("State, logs and marks are reached inside store.batch() only.")
