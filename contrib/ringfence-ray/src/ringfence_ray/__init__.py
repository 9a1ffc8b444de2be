"""Runs on a Ray cluster: an executor of Ringfence.

Each run is a task of Ray, and a fresh process below the worker that takes the task. Ray repeats a
task whose worker or node was lost; what a run itself says, an error too, is its result.
"""

from __future__ import annotations

from typing import Any

from attrs import define, field, validators

from ringfence.errors import BadOption
from ringfence.jobs import Ended, Job
from ringfence.remote import Sharing
from ringfence.sending import confirmed, packed
from ringfence_ray.cluster import Cluster
from ringfence_ray.tasks import Tasks

_count: Any = validators.optional(validators.gt(0))


@define(eq=False)
class Ray:
    """Executor of a Ray cluster: one that runs, or one on this machine while the sweep lasts."""

    address: str | None = field(
        default=None, metadata={"help": "HOST:PORT of a cluster, or auto; none: one of its own"}
    )
    jobs: int | None = field(default=None, validator=_count, metadata={"help": "runs at a time"})
    cpus: int | None = field(
        default=None, validator=_count, metadata={"help": "cores of its own cluster; none: all"}
    )
    gpus: int | None = field(
        default=None,
        validator=validators.optional(validators.ge(0)),
        metadata={"help": "GPUs of its own cluster; none: all"},
    )
    retries: int = field(
        default=3,
        validator=validators.ge(0),
        metadata={"help": "of a run whose worker or node was lost"},
    )
    grows: bool = field(
        default=False, metadata={"help": "the cluster adds nodes: refuse nothing for lack of room"}
    )
    cache: Sharing = field(
        default="shared", metadata={"help": "one for all nodes, or copied to one on each"}
    )
    data_roots: dict[str, str] = field(
        factory=dict, metadata={"help": "where data sets lie, by a node's host name"}
    )
    authentication: bool = field(
        default=True, metadata={"help": "by token; false only for a cluster without"}
    )
    _cluster: Cluster | None = field(default=None, init=False)
    _tasks: Tasks = field(init=False)
    _waiting: list[Job] = field(factory=list, init=False)

    def __attrs_post_init__(self) -> None:
        """Refuse what Ray's client protocol cannot do."""
        if self.address and "://" in self.address:
            raise BadOption(f"ray.address is HOST:PORT or auto, not {self.address}.")
        self._tasks = Tasks(self.retries)

    def submit(self, job: Job) -> None:
        """Take a job; raise if no node of the cluster could ever hold it."""
        cluster = self._connected()
        if not self.grows and (why := cluster.refusal(job.resources)):
            raise BadOption(why)
        self._waiting.append(job)
        self._start()

    def poll(self, seconds: float) -> list[Ended]:
        """Return the jobs that have ended, after at most ``seconds``."""
        ended = [confirmed(job, told) for job, told in self._tasks.ended(seconds)]
        if not (ended or self.grows):
            ended = self._homeless()
        self._start()
        return ended

    def cancel(self, id: str) -> None:
        """Forget a waiting job, end a running one."""
        self._waiting = [job for job in self._waiting if job.id != id]
        self._tasks.cancel(id)

    def close(self) -> None:
        """End all jobs, and the cluster if it is this executor's own."""
        self._waiting.clear()
        self._tasks.cancel_all()
        if self._cluster is not None:
            self._cluster.leave()
            self._cluster = None

    def _start(self) -> None:
        """Give Ray as many jobs as may run at a time."""
        while self._waiting and (self.jobs is None or len(self._tasks) < self.jobs):
            job = self._waiting.pop(0)
            self._tasks.start(packed(job, self.cache, self.data_roots))

    def _homeless(self) -> list[Ended]:
        """Return the jobs that no node can hold any more, and give them up."""
        lost = []
        for job in self._tasks.jobs:
            if self._cluster and (why := self._cluster.refusal(job.resources)):
                self._tasks.cancel(job.id)
                lost.append(Ended(job.id, "lost", why))
        return lost

    def _connected(self) -> Cluster:
        if self._cluster is None:
            self._cluster = Cluster.reached(
                self.address, self.cpus, self.gpus, authentication=self.authentication
            )
        return self._cluster
