"""Progress of long stages, for whoever watches. Silent unless a display was installed.

The command line installs one when standard error is a terminal; a library call shows
nothing. Counting happens on the host: nothing here waits for the device.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar

#: Tells how many more images are done.
Advance = Callable[[int], None]
#: Opens a bar: its name, and how many images there are.
Display = Callable[[str, int], AbstractContextManager[Advance]]

_display: ContextVar[Display | None] = ContextVar("display", default=None)


@contextmanager
def track(name: str, total: int) -> Iterator[Advance]:
    """Show the progress of one stage of ``total`` images."""
    display = _display.get()
    if display is None:
        yield _ignore
        return
    with display(name, total) as advance:
        yield advance


@contextmanager
def shown(display: Display) -> Iterator[None]:
    """Show progress by ``display`` while the context lasts."""
    token = _display.set(display)
    try:
        yield
    finally:
        _display.reset(token)


def _ignore(images: int) -> None:
    """Show nothing."""


@contextmanager
def terminal() -> Iterator[Display]:
    """Yield a display of bars with rate and time left on standard error."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description:12}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    progress = Progress(*columns, console=Console(stderr=True), transient=True)

    @contextmanager
    def bar(name: str, total: int) -> Iterator[Advance]:
        task = progress.add_task(name, total=total, rate="")

        def advance(images: int) -> None:
            speed = progress.tasks[progress.task_ids.index(task)].speed
            progress.update(task, advance=images, rate=f"{speed:,.0f}/s" if speed else "")

        yield advance
        progress.remove_task(task)

    with progress:
        yield bar
