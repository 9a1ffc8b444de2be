"""Do the runs of a plan that are not done yet, on any executor; the folders say what is left."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from attrs import define, field, frozen
from filelock import FileLock, Timeout

from ringfence.atomic import write_text
from ringfence.errors import OtherRun, RingfenceError
from ringfence.folder import LOCK, RESULT
from ringfence.grid import Plan, Planned
from ringfence.jobs import Ended, Job
from ringfence.protocols import Executor

PLAN = "sweep.json"
PATIENCE = 1.0  #: seconds between two looks at what goes on


@frozen
class Tally:
    """How a sweep ended."""

    finished: tuple[str, ...]
    skipped: tuple[str, ...]  #: finished before
    failed: tuple[Ended, ...]
    left: tuple[str, ...]  #: not done, because of ``fail_fast``


@define(eq=False)
class Sweep:
    """A plan, the folder of its runs, and how far it is."""

    plan: Plan
    folder: Path
    finished: list[str] = field(factory=list, init=False)
    failed: list[Ended] = field(factory=list, init=False)

    def done(self) -> tuple[str, ...]:
        """Return the runs whose result is there already."""
        return tuple(r.id for r in self.plan.runs if (self.folder / r.id / RESULT).exists())

    def todo(self) -> tuple[Planned, ...]:
        """Return the runs that are left, in the order of the plan."""
        done = set(self.done())
        return tuple(run for run in self.plan.runs if run.id not in done)

    def run(
        self,
        executor: Executor,
        *,
        fail_fast: bool = False,
        watch: Callable[[], None] = lambda: None,
    ) -> Tally:
        """Do what is left; a failed run stops the others only with ``fail_fast``.

        ``watch`` is called whenever something may have changed.
        """
        skipped = self.done()
        with self._claimed():
            write_text(self.folder / PLAN, _told(self.plan))
            todo = self.todo()
            try:
                for run in todo:
                    executor.submit(self._job(run))
                self._wait(executor, len(todo), fail_fast, watch)
            finally:
                executor.close()
        ended = {*self.finished, *(one.id for one in self.failed)}
        left = tuple(run.id for run in todo if run.id not in ended)
        return Tally(tuple(self.finished), skipped, tuple(self.failed), left)

    def _wait(
        self, executor: Executor, number: int, fail_fast: bool, watch: Callable[[], None]
    ) -> None:
        while len(self.finished) + len(self.failed) < number:
            watch()
            for ended in executor.poll(PATIENCE):
                if ended.status == "finished":
                    self.finished.append(ended.id)
                else:
                    self.failed.append(ended)
            if fail_fast and self.failed:
                break
        watch()

    def _job(self, run: Planned) -> Job:
        return Job(run.id, run.named, self.folder / run.id, self.plan.resources)

    @contextmanager
    def _claimed(self) -> Iterator[None]:
        """Hold the folder; two sweeps at once would do every run twice."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with FileLock(self.folder / LOCK, timeout=0):
                yield
        except Timeout:
            raise OtherRun(f"Another sweep is running in {self.folder}.") from None
        except OSError as error:
            if error.filename is None or self.folder.exists():
                raise
            raise RingfenceError(
                f"{self.folder} cannot be written ({error.strerror}). Choose another --out."
            ) from error


def _told(plan: Plan) -> str:
    """Return which folder holds which run, for people."""
    runs = {run.id: dict(run.point) for run in plan.runs}
    excluded = [{**point, "why": why} for point, why in plan.excluded]
    return json.dumps({"runs": runs, "excluded": excluded}, indent=2) + "\n"
