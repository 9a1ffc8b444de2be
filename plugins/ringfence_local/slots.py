"""Room for runs: cores, fractions of GPUs, memory."""

from __future__ import annotations

import os

from attrs import define, field, frozen

from ringfence.jobs import Resources

_CRUMB = 1e-9  # three thirds of a GPU are a GPU
GIB = 1 << 30  #: bytes


@frozen
class Place:
    """What one run was given."""

    cpus: int
    gpus: float
    memory: float  #: GiB
    device: str | None  #: the value of CUDA_VISIBLE_DEVICES; none: as it is


@define(eq=False)
class Slots:
    """What is free."""

    cpus: int
    gpus: list[float]  #: the free share of each GPU
    memory: float  #: GiB
    jobs: int | None = None
    _whole: Resources = field(init=False)

    def __attrs_post_init__(self) -> None:
        """Remember what there was."""
        self._whole = Resources(cpus=self.cpus, gpus=len(self.gpus), memory=self.memory)

    @classmethod
    def of_machine(
        cls, cpus: int | None, gpus: int | None, memory: float | None, jobs: int | None
    ) -> Slots:
        """Return this machine's cores, GPUs and memory, or as much as was given.

        With ``jobs`` the user says how many runs at a time, and cores do not limit them.
        """
        found = cpus or usable_cores()
        cards = _visible_gpus() if gpus is None else gpus
        return cls(found, [1.0] * cards, memory or physical_memory(), jobs)

    def __str__(self) -> str:
        """Return what there is in all."""
        return str(self._whole)

    def could_hold(self, need: Resources) -> bool:
        """Return whether a run would fit if nothing else were running."""
        most = len(self.gpus) if need.gpus > 1 else min(1, len(self.gpus))
        cores = self.jobs is not None or need.cpus <= self._whole.cpus
        return cores and need.gpus <= most and need.memory <= self._whole.memory

    def take(self, need: Resources) -> Place | None:
        """Return a place for a run, or nothing while there is no room."""
        if self.jobs == 0 or (self.jobs is None and need.cpus > self.cpus):
            return None
        if need.memory > self.memory + _CRUMB:
            return None
        chosen = self._choose(need.gpus)
        if chosen is None:
            return None
        for gpu in chosen:
            self.gpus[gpu] -= min(1.0, need.gpus)
        device = ",".join(map(str, chosen)) if chosen else None
        place = Place(need.cpus, need.gpus, need.memory, device)
        self._count(-1, place)
        return place

    def give_back(self, place: Place) -> None:
        """Free a place."""
        for gpu in (place.device or "").split(",") if place.device else ():
            self.gpus[int(gpu)] += min(1.0, place.gpus)
        self._count(1, place)

    def _count(self, sign: int, place: Place) -> None:
        self.cpus += sign * place.cpus
        self.memory += sign * place.memory
        if self.jobs is not None:
            self.jobs += sign

    def _choose(self, wanted: float) -> list[int] | None:
        """Return GPUs with enough left: the fullest first, so that whole ones stay whole."""
        if not wanted:
            return []
        share, number = min(1.0, wanted), max(1, round(wanted))
        fit = [n for n, free in enumerate(self.gpus) if free + _CRUMB >= share]
        fit.sort(key=lambda n: self.gpus[n])
        return fit[:number] if len(fit) >= number else None


def usable_cores() -> int:
    """Return the cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def physical_memory() -> float:
    """Return this machine's GiB of memory; 0 where the system does not tell (Windows)."""
    if not hasattr(os, "sysconf"):
        return 0.0
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / GIB


def _visible_gpus() -> int:
    import torch  # asks the driver, and opens no context

    return torch.cuda.device_count()
