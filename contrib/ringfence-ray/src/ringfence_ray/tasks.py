"""Jobs as tasks of Ray."""

from __future__ import annotations

from typing import Any

from attrs import define, field

from ringfence.jobs import Ended, Job
from ringfence.remote import RemoteJob

GIB = 1 << 30  #: bytes


class LostProcess(Exception):
    """The process of a run died; Ray does it again, as when a worker dies."""


def do(remote: RemoteJob) -> Ended:
    """Do one job on the node where this task was placed."""
    ended = remote.run()
    if ended.status == "died":
        raise LostProcess(ended.message)
    return ended


@define(eq=False)
class Tasks:
    """The jobs that Ray was given and that have not ended."""

    retries: int
    _refs: dict[str, Any] = field(factory=dict, init=False)
    _jobs: dict[str, Job] = field(factory=dict, init=False)

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._refs)

    @property
    def jobs(self) -> list[Job]:
        """All of them, in the order started."""
        return list(self._jobs.values())

    def start(self, remote: RemoteJob) -> None:
        """Give Ray a job, which it places, and does again if it is lost."""
        import ray

        job = remote.job
        task = ray.remote(**_options(job, self.retries))(do)
        self._refs[job.id], self._jobs[job.id] = task.remote(remote), job

    def ended(self, seconds: float) -> list[tuple[Job, Ended]]:
        """Return the jobs that have ended, and how, after at most ``seconds``."""
        import ray

        if not self._refs:
            return []
        ray.wait(list(self._refs.values()), timeout=seconds)
        names = {ref: id for id, ref in self._refs.items()}
        ready, _ = ray.wait(list(names), num_returns=len(names), timeout=0)
        return [(self._jobs[names[ref]], self._forget(names[ref])) for ref in ready]

    def cancel(self, id: str) -> None:
        """End one job; it is not told of any more."""
        import ray

        if id in self._refs:
            del self._jobs[id]
            ray.cancel(self._refs.pop(id), force=True)

    def cancel_all(self) -> None:
        """End every job."""
        for id in list(self._refs):
            self.cancel(id)

    def _forget(self, id: str) -> Ended:
        del self._jobs[id]
        return _outcome(id, self._refs.pop(id), self.retries)


def _options(job: Job, retries: int) -> dict[str, Any]:
    """Return what a job needs, and when it is done again, in Ray's words."""
    need = job.resources
    told = {"num_cpus": need.cpus, "num_gpus": need.gpus, "max_retries": retries}
    told |= {"memory": round(need.memory * GIB)} if need.memory else {}
    # a worker may do any number of runs, on GPUs too: it holds nothing of one that has ended
    return told | {"retry_exceptions": [LostProcess], "max_calls": 0}


def _outcome(id: str, ref: Any, retries: int) -> Ended:
    """Return how a task ended that has."""
    import ray
    from ray.exceptions import RayError, RayTaskError

    try:
        ended: Ended = ray.get(ref)
        return ended
    except LostProcess as error:
        return Ended(id, "died", f"{_cause(error)} (tried {retries + 1} times)")
    except RayTaskError as error:  # ours, or what is missing there
        return Ended(id, "failed", f"{type(error.cause).__name__}: {_cause(error)}")
    except RayError as error:
        return Ended(id, "lost", f"{_first_line(error)} (tried {retries + 1} times)")


def _cause(error: Exception) -> str:
    return _first_line(getattr(error, "cause", error))


def _first_line(error: object) -> str:
    return str(error).strip().partition("\n")[0]
