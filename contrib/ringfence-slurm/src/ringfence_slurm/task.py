"""What a job does where Slurm has placed it."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from attrs import frozen

from ringfence.jobs import Ended
from ringfence.process import prepare
from ringfence.remote import RemoteJob

#: Slurm warns every process of a job; only the one that submitit watches knows what to do
WARNINGS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)


@frozen
class Task:
    """One run; when its job is taken off its node, it goes on elsewhere behind its last stage."""

    remote: RemoteJob

    def __call__(self) -> Ended:
        """Do it."""
        with ignored():
            prepare()
        return self.remote.run()

    def checkpoint(self) -> Any:
        """Return what is to be done after a preemption: the same; stages are on the disk."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self)


@contextmanager
def ignored() -> Iterator[None]:
    """Let what is started inside ignore what Slurm warns by."""
    before = {one: signal.signal(one, signal.SIG_IGN) for one in WARNINGS}
    try:
        yield
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
