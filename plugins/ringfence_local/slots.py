"""Room for runs: cores, and fractions of GPUs."""

from __future__ import annotations

import os

from attrs import define, field, frozen

from ringfence.jobs import Resources

_CRUMB = 1e-9  # three thirds of a GPU are a GPU


@frozen
class Place:
    """What one run was given."""

    cpus: int
    gpus: float
    device: str | None  #: the value of CUDA_VISIBLE_DEVICES; none: as it is


@define(eq=False)
class Slots:
    """What is free."""

    cpus: int
    gpus: list[float]  #: the free share of each GPU
    jobs: int | None
    _whole: tuple[int, int] = field(init=False)

    def __attrs_post_init__(self) -> None:
        """Remember what there was."""
        self._whole = (self.cpus, len(self.gpus))

    @classmethod
    def of_machine(cls, cpus: int | None, gpus: int | None, jobs: int | None) -> Slots:
        """Return this machine's cores and GPUs, or as many as were given.

        With ``jobs`` the user says how many runs at a time, and cores do not limit them.
        """
        found = cpus or usable_cores()
        return cls(found, [1.0] * (_visible_gpus() if gpus is None else gpus), jobs)

    def __str__(self) -> str:
        """Return what there is in all."""
        return f"{self._whole[0]} and {self._whole[1]}"

    def could_hold(self, need: Resources) -> bool:
        """Return whether a run would fit if nothing else were running."""
        most = len(self.gpus) if need.gpus > 1 else min(1, len(self.gpus))
        return (self.jobs is not None or need.cpus <= self._whole[0]) and need.gpus <= most

    def take(self, need: Resources) -> Place | None:
        """Return a place for a run, or nothing while there is no room."""
        if self.jobs == 0 or (self.jobs is None and need.cpus > self.cpus):
            return None
        chosen = self._choose(need.gpus)
        if chosen is None:
            return None
        for gpu in chosen:
            self.gpus[gpu] -= min(1.0, need.gpus)
        self._count(-1, need.cpus)
        device = ",".join(map(str, chosen)) if chosen else None
        return Place(need.cpus, need.gpus, device)

    def give_back(self, place: Place) -> None:
        """Free a place."""
        for gpu in (place.device or "").split(",") if place.device else ():
            self.gpus[int(gpu)] += min(1.0, place.gpus)
        self._count(1, place.cpus)

    def _count(self, sign: int, cpus: int) -> None:
        self.cpus += sign * cpus
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


def _visible_gpus() -> int:
    import torch  # asks the driver, and opens no context

    return torch.cuda.device_count()
