"""Time spent in sections of code, without waiting for the device in between."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from attrs import define, field

KEPT = 4096  #: events until they are added up


@define(eq=False)
class Clock:
    """Adds up the seconds of named sections; on a GPU by events, read once at the end."""

    cuda: bool = False
    _seconds: dict[str, float] = field(factory=dict, init=False)
    _events: list[tuple[str, Any, Any]] = field(factory=list, init=False)

    @contextmanager
    def section(self, name: str) -> Iterator[None]:
        """Count what happens in the block."""
        if self.cuda:
            start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            start.record()
            yield
            end.record()
            self._events.append((name, start, end))
            if len(self._events) == KEPT:
                self.seconds()
        else:
            begun = time.perf_counter()
            yield
            self.add({name: time.perf_counter() - begun})

    def add(self, seconds: dict[str, float]) -> None:
        """Count seconds that were measured elsewhere."""
        for name, more in seconds.items():
            self._seconds[name] = self._seconds.get(name, 0.0) + more

    def seconds(self) -> dict[str, float]:
        """Return the seconds of each section so far."""
        for name, start, end in self._events:
            end.synchronize()  # long over, but for the last ones
            self.add({name: start.elapsed_time(end) / 1000})
        self._events.clear()
        return dict(self._seconds)
