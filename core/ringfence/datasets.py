"""Load data sets by name, and their images in the victim's format."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import frozen
from torch import Tensor

from ringfence import plugins
from ringfence.errors import MissingData
from ringfence.images import adapt
from ringfence.types import ImageSet, Split


@frozen(eq=False)
class DataSets:
    """Where data sets come from, and where their images go."""

    root: Path | None
    offline: bool
    device: str
    options: Mapping[str, Mapping[str, Any]]

    def build(self, name: str) -> Any:
        """Return the data set's plugin, with the user's options."""
        return plugins.build("datasets", name, self.options.get(name.partition(":")[0]))

    def load(self, name: str, *, offline: bool = False) -> ImageSet:
        """Return the data set called ``NAME`` or ``NAME:VARIANT``, on the CPU."""
        loaded: ImageSet = self.build(name).load(self.root, self.offline or offline)
        return loaded

    def images(self, name: str, shape: tuple[int, ...]) -> Tensor:
        """Return all training images of a data set in another one's format, on the device."""
        return adapt(self.load(name).train.images, shape).to(self.device)

    def at_hand(self, names: str | Sequence[str]) -> str:
        """Return the first of ``names`` that needs no download, else the last."""
        names = (names,) if isinstance(names, str) else tuple(names)
        for name in names[:-1]:
            try:
                self.load(name, offline=True)
            except MissingData:
                continue
            return name
        return names[-1]

    def on_device(self, data: Split) -> Split:
        """Return a split on the device."""
        return Split(data.images.to(self.device), data.labels.to(self.device))
