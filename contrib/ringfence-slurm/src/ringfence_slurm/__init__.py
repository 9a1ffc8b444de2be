"""Runs as jobs of a Slurm cluster, by submitit: an executor of Ringfence.

Slurm places jobs, and does them again when a node fails or a job of more weight takes it; a job
that is lost in another way is replaced from here. What a run itself says is its result.
"""

from __future__ import annotations

import logging
from typing import Any, Literal

from attrs import define, field, validators

from ringfence.errors import BadOption, RingfenceError
from ringfence.jobs import Ended, Job
from ringfence.remote import Sharing
from ringfence.sending import confirmed, packed
from ringfence_slurm.batch import Batch
from ringfence_slurm.submitted import Submitted, any_ended

_count: Any = validators.optional(validators.gt(0))
log = logging.getLogger(__name__)
DAY = 24 * 3600.0  #: seconds


@define(eq=False)
class Slurm:
    """Executor of a Slurm cluster; a sweep that is killed leaves its jobs there, and finds them."""

    cluster: Literal["slurm", "local"] = field(
        default="slurm", metadata={"help": "local: processes of this machine, to try it out"}
    )
    jobs: int | None = field(
        default=None, validator=_count, metadata={"help": "runs handed to Slurm at a time"}
    )
    retries: int = field(
        default=3, validator=validators.ge(0), metadata={"help": "of a run whose job was lost"}
    )
    partition: str | None = field(default=None, metadata={"help": "as sbatch has it"})
    extra: dict[str, str] = field(
        factory=dict, metadata={"help": "further options of sbatch, without their dashes"}
    )
    limit: float = field(
        default=DAY,
        validator=validators.gt(0),
        metadata={"help": "seconds for a run to which [resources] gives no timeout"},
    )
    shards: int | None = field(
        default=None, validator=_count, metadata={"help": "shards of a GPU, for fractions of one"}
    )
    cache: Sharing = field(
        default="shared", metadata={"help": "one for all nodes, or copied to one on each"}
    )
    data_roots: dict[str, str] = field(
        factory=dict, metadata={"help": "where data sets lie, by a node's host name"}
    )
    _waiting: list[Job] = field(factory=list, init=False)
    _submitted: dict[str, Submitted] = field(factory=dict, init=False)

    def submit(self, job: Job) -> None:
        """Take a job; raise if it can never be placed, as far as sbatch can tell."""
        if why := self._batch.refusal(job.resources):
            raise BadOption(why)
        self._waiting.append(job)
        self._start()

    def poll(self, seconds: float) -> list[Ended]:
        """Return the jobs that have ended, after at most ``seconds``."""
        ended = []
        for one, how in any_ended(list(self._submitted.values()), seconds):
            if how.status not in ("died", "lost") or not self._replaced(one):
                del self._submitted[how.id]
                ended.append(confirmed(one.remote.job, how))
        self._start()
        return ended

    def cancel(self, id: str) -> None:
        """Forget a waiting job, end a running one."""
        self._waiting = [job for job in self._waiting if job.id != id]
        if one := self._submitted.pop(id, None):
            one.cancel()

    def close(self) -> None:
        """End all jobs."""
        self._waiting.clear()
        ending = list(self._submitted)
        for one in [self._submitted.pop(id) for id in ending]:
            one.cancel()

    @property
    def _batch(self) -> Batch:
        return Batch(self.cluster, self.limit, self.partition, self.extra, self.shards)

    def _start(self) -> None:
        """Hand over as many jobs as may be there at a time."""
        while self._waiting and self._more(self._waiting[0]):
            job = self._waiting.pop(0)
            one = Submitted(packed(job, self.cache, self.data_roots), self._batch)
            if not one.found():
                one.submit()
            self._submitted[job.id] = one

    def _replaced(self, one: Submitted) -> bool:
        """Hand a lost run over again, unless it was too often or Slurm takes nothing now."""
        if one.attempts > self.retries:
            return False
        try:
            one.submit()
        except RingfenceError as error:
            log.warning("%s was not done again: %s", one.remote.job.id, error)
            return False
        return True

    def _more(self, job: Job) -> bool:
        most = self.jobs or self._batch.at_once(job.resources)
        return most is None or len(self._submitted) < most
