"""Load data sets by name, and their images in the victim's format."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from attrs import evolve, frozen
from torch import Tensor

from ringfence.catalogue import Catalogue
from ringfence.errors import MissingData
from ringfence.images import adapt
from ringfence.plugins import installed
from ringfence.types import ImageSet, Split


@frozen(eq=False)
class DataSets:
    """Where data sets come from, and where their images go."""

    catalogue: Catalogue
    root: Path | None
    offline: bool
    device: str

    def load(self, name: str, *, offline: bool = False) -> ImageSet:
        """Return the data set called ``NAME`` or ``NAME:VARIANT``, on the CPU."""
        plugin = self.catalogue.build("datasets", name)
        loaded: ImageSet = plugin.load(self.root, self.offline or offline)
        return loaded

    def first(self, names: str | Sequence[str]) -> tuple[str, ImageSet]:
        """Return the first of ``names`` that needs no download, else the last, with its name."""
        *others, last = (names,) if isinstance(names, str) else names
        for name in others:
            try:
                return name, self.load(name, offline=True)
            except MissingData:
                continue
        return last, self.load(last)

    def fit(self, data: ImageSet, shape: tuple[int, ...]) -> Tensor:
        """Return all training images of a data set in another one's format, on the device."""
        return adapt(data.train.images, shape).to(self.device)

    def images(self, name: str, shape: tuple[int, ...]) -> Tensor:
        """Return the same for a data set by its name."""
        return self.fit(self.load(name), shape)

    def public(self) -> DataSets:
        """Return the same for installed sets only: it leads to no object of the user's."""
        options = {n: o for n, o in self.catalogue.options.items() if n in installed("datasets")}
        return evolve(self, catalogue=Catalogue(options))

    def on_device(self, data: Split) -> Split:
        """Return a split on the device."""
        return Split(data.images.to(self.device), data.labels.to(self.device))
