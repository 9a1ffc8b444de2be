"""Runs on this machine, each in a fresh process: a crash, a hang or too little memory costs one."""

from __future__ import annotations

from multiprocessing.connection import wait
from typing import Any

from attrs import define, field, validators

from ringfence.errors import BadOption
from ringfence.jobs import Ended, Job
from ringfence.process import Running
from ringfence_local.slots import Place, Slots

_count: Any = validators.optional(validators.gt(0))


@define(eq=False)
class Local:
    """Executor of this machine: as many runs at a time as its cores and GPUs have room for."""

    jobs: int | None = field(default=None, validator=_count, metadata={"help": "runs at a time"})
    cpus: int | None = field(
        default=None, validator=_count, metadata={"help": "cores to use; none: all"}
    )
    gpus: int | None = field(
        default=None,
        validator=validators.optional(validators.ge(0)),
        metadata={"help": "GPUs to use; none: all"},
    )
    memory: float | None = field(
        default=None, validator=_count, metadata={"help": "GiB to give out; none: all there are"}
    )
    _slots: Slots | None = field(default=None, init=False)
    _waiting: list[Job] = field(factory=list, init=False)
    _running: dict[str, Running] = field(factory=dict, init=False)
    _places: dict[str, Place] = field(factory=dict, init=False)

    def submit(self, job: Job) -> None:
        """Take a job; it starts when there is room. Raises if there never can be."""
        if not self._room.could_hold(job.resources):
            raise BadOption(
                f"A run needs {job.resources}; this machine offers {self._room}. Ask for less in "
                "[resources]."
            )
        self._waiting.append(job)
        self._start()

    def poll(self, seconds: float) -> list[Ended]:
        """Return the jobs that have ended, after at most ``seconds``."""
        wait([one.process.sentinel for one in self._running.values()], self._patience(seconds))
        over = {name: one.ended() for name, one in self._running.items()}
        ended = [one for one in over.values() if one]
        for one in ended:
            self._forget(one.id)
        self._start()
        return ended

    @property
    def running(self) -> list[str]:
        """The ids of the jobs that have started and not ended."""
        return list(self._running)

    def cancel(self, id: str) -> None:
        """Forget a waiting job, end a running one."""
        self._waiting = [job for job in self._waiting if job.id != id]
        if id in self._running:
            self._running[id].kill()
            self._forget(id)

    def close(self) -> None:
        """End all jobs."""
        for id in [job.id for job in self._waiting] + list(self._running):
            self.cancel(id)

    @property
    def _room(self) -> Slots:
        if self._slots is None:
            self._slots = Slots.of_machine(self.cpus, self.gpus, self.memory, self.jobs)
        return self._slots

    def _start(self) -> None:
        """Start what there is room for, in the order submitted."""
        for job in list(self._waiting):
            place = self._room.take(job.resources)
            if place is None:
                return
            self._waiting.remove(job)
            self._places[job.id] = place
            self._running[job.id] = Running(job, _environment(place))

    def _forget(self, id: str) -> None:
        del self._running[id]
        self._room.give_back(self._places.pop(id))

    def _patience(self, seconds: float) -> float:
        """Return how long to wait: no longer than to the next timeout."""
        return max(0.0, min([seconds, *(one.left() for one in self._running.values())]))


def _environment(place: Place) -> dict[str, str]:
    return {} if place.device is None else {"CUDA_VISIBLE_DEVICES": place.device}
