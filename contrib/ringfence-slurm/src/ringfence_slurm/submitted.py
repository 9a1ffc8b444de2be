"""A run as a job of Slurm's: submitted, found again, ended."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from attrs import define, field

from ringfence.atomic import write_text
from ringfence.errors import RingfenceError
from ringfence.jobs import Ended, Status
from ringfence.remote import RemoteJob
from ringfence_slurm.batch import LOCAL, Batch
from ringfence_slurm.task import Task

FOLDER = "slurm"  #: below a run's: scripts, pickles and logs of submitit
JOB = "job.txt"  #: there: the number of the last job
SIGHT = 15.0  #: seconds until what a node wrote is seen here
RULE = "-" * 22
PAUSE = 0.1  #: seconds between two looks
#: ends of a job that nobody should do again; Slurm adds by whom it was cancelled
ENDS: dict[str, Status] = {"TIMEOUT": "timeout", "CANCELLED": "failed"}
ALIVE = {"PENDING", "RUNNING", "REQUEUED", "CONFIGURING", "COMPLETING", "SUSPENDED"}


@define(eq=False)
class Submitted:
    """One run that Slurm was given, once or again."""

    remote: RemoteJob
    batch: Batch
    attempts: int = field(default=0, init=False)
    _job: Any = field(default=None, init=False)  #: of submitit
    _gone: float | None = field(default=None, init=False)  #: when it was over, without a word

    @property
    def folder(self) -> Path:
        """Where submitit keeps its files."""
        return self.remote.job.out / FOLDER

    def submit(self) -> None:
        """Hand the run over."""
        executor = self.batch.executor(self.remote.job, self.folder)
        try:
            self._job = executor.submit(Task(self.remote))
        except RuntimeError as error:  # what sbatch says
            raise RingfenceError(f"Slurm does not take the run: {_last_line(error)}") from error
        self.attempts, self._gone = self.attempts + 1, None
        write_text(self.folder / JOB, f"{self._job.job_id}\n")

    def found(self) -> bool:
        """Return whether a killed sweep left the run's job in Slurm's hands; it is then taken."""
        import submitit

        file = self.folder / JOB
        if self.batch.cluster == LOCAL or not file.exists():
            return False
        job: Any = submitit.SlurmJob(self.folder, file.read_text(encoding="utf-8").strip())
        if job.state.upper() not in ALIVE:
            return False
        self._job, self.attempts = job, 1
        return True

    def ended(self) -> Ended | None:
        """Return how the run ended, or nothing while nobody knows."""
        if not self._job.done():
            return None
        if self._job.paths.result_pickle.exists():
            return self._told()
        self._gone = self._gone or time.monotonic()
        if self.batch.cluster != LOCAL and time.monotonic() < self._gone + SIGHT:
            return None
        return self._lost(self._job.state)

    def cancel(self) -> None:
        """End it; processes of this machine are waited for."""
        self._job.cancel(check=False)
        until = time.monotonic() + SIGHT
        while self.batch.cluster == LOCAL and time.monotonic() < until and not self._job.done():
            time.sleep(PAUSE)

    def _told(self) -> Ended:
        """Return what the job left; a pickle, written as this user into this run's folder."""
        try:
            ended: Ended = self._job.result()
            return ended
        except RuntimeError as error:  # its trace between two rules, then where logs are
            trace = str(error).split(RULE)
            return Ended(self.remote.job.id, "failed", _last_line(trace[len(trace) // 2]))

    def _lost(self, state: str) -> Ended:
        status = ENDS.get(state.upper().split()[0], "lost")
        told = f"job {self._job.job_id} ended as {state}; see {FOLDER}/ in its folder"
        return Ended(self.remote.job.id, status, f"{told} (tried {self.attempts} times)")


def any_ended(some: Sequence[Submitted], seconds: float) -> list[tuple[Submitted, Ended]]:
    """Return those that have ended, and how, after at most ``seconds``."""
    until = time.monotonic() + seconds
    while True:
        told = [(one, how) for one in some if (how := one.ended())]
        left = until - time.monotonic()
        if told or not some or left <= 0:
            return told
        time.sleep(min(PAUSE, left))


def _last_line(told: object) -> str:
    return (str(told).strip() or "no reason given").splitlines()[-1]
