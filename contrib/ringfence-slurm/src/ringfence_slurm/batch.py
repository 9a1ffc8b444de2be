"""What sbatch is told of a job: what it needs, how long it may take."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attrs import frozen

from ringfence.errors import RingfenceError
from ringfence.jobs import Job, Resources

LOCAL = "local"
SLACK = 600.0  #: seconds; submitit takes no warning in a job's last ten minutes for a preemption
NAME = 12  #: letters of a run's id in the name of its job


@frozen
class Batch:
    """How jobs are handed over."""

    cluster: str
    limit: float  #: seconds of a job that has no timeout
    partition: str | None = None
    extra: Mapping[str, str] | None = None
    shards: int | None = None  #: of a GPU

    def refusal(self, need: Resources) -> str:
        """Return why a job that needs this can never be placed, as far as is known here."""
        if self.cluster == LOCAL:
            return _local_refusal(need)
        if need.gpus == int(need.gpus) or (self.shards and need.gpus < 1):
            return ""
        return (
            f"Slurm gives out whole GPUs, not {need.gpus:g} of one, unless it is set up to share "
            "them: then say how many shards a GPU has, -o slurm.shards=N."
        )

    def at_once(self, need: Resources) -> int | None:
        """Return how many jobs may be there at a time; Slurm itself lets them wait."""
        return max(1, _cores() // need.cpus) if self.cluster == LOCAL else None

    def executor(self, job: Job, folder: Path) -> Any:
        """Return an executor of submitit for one job, which keeps its files in ``folder``."""
        import submitit

        try:
            # a timeout is the end of a run: a job that submitit saw time out is not queued again
            made = submitit.AutoExecutor(folder, self.cluster, slurm_max_num_timeout=0)
        except RuntimeError as error:
            raise RingfenceError(
                f"There is no Slurm here ({error}). Start the sweep where sbatch and srun are, or "
                "try it with -o slurm.cluster=local."
            ) from error
        made.update_parameters(**self.parameters(job))
        return made

    def parameters(self, job: Job) -> dict[str, Any]:
        """Return the parameters of submitit for one job."""
        need = job.resources
        told: dict[str, Any] = {
            "name": f"ringfence-{job.id[:NAME]}",
            "timeout_min": self.minutes(need),
            "cpus_per_task": need.cpus,
            "mem_gb": need.memory or None,
            "slurm_partition": self.partition,
            "slurm_additional_parameters": dict(self.extra or {}),
            # Slurm 22.05 and later: a step has one core unless srun is told so, too
            "slurm_srun_args": [f"--cpus-per-task={need.cpus}"],
        }
        if need.gpus and need.gpus < 1 and self.shards:
            told["slurm_gres"] = f"shard:{math.ceil(need.gpus * self.shards)}"
        else:
            told["gpus_per_node"] = int(need.gpus) or None
        return told

    def minutes(self, need: Resources) -> int:
        """Return when Slurm ends a job: later than the run itself is given up.

        And so much later that a warning before the run's own timeout is one of preemption.
        """
        seconds = need.timeout or self.limit
        return math.ceil((1.25 * seconds + SLACK) / 60)


def _local_refusal(need: Resources) -> str:
    if need.gpus or need.memory:
        return (
            f"A run needs {need}; -o slurm.cluster=local is for trying out, and gives out cores "
            "only. Use the executor local."
        )
    if need.cpus > _cores():
        return (
            f"A run needs {need}; this machine has {_cores()} cores. Ask for less in [resources]."
        )
    return ""


def _cores() -> int:
    return os.cpu_count() or 1
