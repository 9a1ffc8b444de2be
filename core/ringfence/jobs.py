"""What an executor is given, and what it gives back: one run of a sweep as a job."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from attrs import field, frozen, validators

#: failed: the run raised; died: its process was killed; lost: its machine went away
Status = Literal["finished", "failed", "died", "timeout", "lost"]


@frozen(kw_only=True)
class Resources:
    """What one run needs."""

    cpus: int = field(
        default=1, validator=validators.gt(0), metadata={"help": "cores; threads of PyTorch"}
    )
    gpus: float = field(
        default=0.0, validator=validators.ge(0), metadata={"help": "GPUs, or a fraction of one"}
    )
    memory: float = field(
        default=0.0, validator=validators.ge(0), metadata={"help": "GiB of memory; 0: not counted"}
    )
    timeout: float | None = field(
        default=None,
        validator=validators.optional(validators.gt(0)),
        metadata={"help": "seconds until a run is given up"},
    )

    def __str__(self) -> str:
        """Return what takes up room, for people."""
        memory = f" and {self.memory:.4g} GiB of memory" if self.memory else ""
        between = ", " if memory else " and "
        return f"{self.cpus} cores{between}{self.gpus:g} GPUs{memory}"


@frozen
class Job:
    """One run: its choice as plain values, the folder it fills, what it needs."""

    id: str
    named: Mapping[str, Any]  #: fields of :class:`ringfence.choice.Choice`
    out: Path
    resources: Resources


@frozen
class Ended:
    """How a job ended."""

    id: str
    status: Status
    message: str = ""  #: what went wrong, in a line
