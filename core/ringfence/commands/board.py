"""What a sweep shows while it runs and when it has ended."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import click

from ringfence.protocols import Executor
from ringfence.sweep import Sweep

SHOWN = 12  #: rows of runs at most


@contextmanager
def board(sweep: Sweep, executor: Executor) -> Iterator[Callable[[], None]]:
    """Yield what is to be called now and then: a live table, or lines where nobody looks."""
    if not sys.stderr.isatty():
        yield _Lines(sweep).tell
        return
    from rich.console import Console
    from rich.live import Live

    start, number = time.monotonic(), len(sweep.todo())
    with Live(console=Console(stderr=True), transient=True, auto_refresh=False) as live:
        yield lambda: live.update(
            _table(sweep, executor, number, time.monotonic() - start), refresh=True
        )


class _Lines:
    """Tells of each run once, on standard error."""

    def __init__(self, sweep: Sweep) -> None:
        self.sweep, self.number = sweep, len(sweep.todo())
        self.finished, self.failed = 0, 0

    def tell(self) -> None:
        """Tell what has ended since the last call."""
        sweep = self.sweep
        for id in sweep.finished[self.finished :]:
            self.finished += 1
            self._line("finished", id)
        for ended in sweep.failed[self.failed :]:
            self.failed += 1
            self._line(ended.status, f"{ended.id}: {ended.message}")

    def _line(self, status: str, text: str) -> None:
        click.echo(f"{self.finished + self.failed}/{self.number} {status} {text}", err=True)


def _table(sweep: Sweep, executor: Executor, number: int, seconds: float) -> Any:
    from rich.table import Table

    ended = len(sweep.finished) + len(sweep.failed)
    left = f", about {_span(seconds / ended * (number - ended))} left" if ended else ""
    title = f"{ended}/{number} runs in {_span(seconds)}{left}, {len(sweep.failed)} failed"
    table = Table(title=title, box=None, title_justify="left")
    for column in ("run", "where in the grid", "status"):
        table.add_column(column, overflow="fold")
    points = {run.id: _point(run.point) for run in sweep.plan.runs}
    running = getattr(executor, "running", [])
    rows = [(id, "running") for id in running]
    rows += [(one.id, f"{one.status}: {one.message}") for one in sweep.failed[::-1]]
    for id, status in rows[:SHOWN]:
        table.add_row(id, points[id], status)
    return table


def words(told: Mapping[str, Any]) -> Iterator[str]:
    """Yield the lines of a forecast, or of how a sweep ended."""
    if "at_once" in told:
        yield f"{told['runs']} runs, {told['finished']} finished, {told['left']} left"
        for one in told["excluded"]:
            point = _point({name: value for name, value in one.items() if name != "why"})
            yield f"excluded: {point} ({one['why']})"
        yield _duration(told)
        return
    yield (
        f"{len(told['finished'])} runs finished, {len(told['skipped'])} were finished before, "
        f"{len(told['failed'])} failed, {len(told['left'])} left"
    )
    for id, how in told["failed"].items():
        yield f"{id} {how['status']}: {how['message']}"


def _duration(told: Mapping[str, Any]) -> str:
    if told["seconds"] is None:
        return f"time unknown: nothing like {told['unknown']} of these runs was run here before"
    return f"about {_span(told['seconds'])}, {told['at_once']} at a time"


def _point(values: Mapping[str, Any]) -> str:
    def one(value: Any) -> str:
        return "+".join(value) or "none" if isinstance(value, list) else str(value)

    return " ".join(f"{name}={one(value)}" for name, value in values.items())


def _span(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"
