"""Load data sets by name, and their images in the victim's format."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from attrs import evolve, frozen
from torch import Tensor

from ringfence.catalogue import Catalogue
from ringfence.errors import BadOption, MissingData
from ringfence.fingerprint import fingerprint
from ringfence.images import adapt
from ringfence.plugins import find, installed
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


@frozen(eq=False)
class PublicSets:
    """Labelled images of public sets for an attacker, who must not get the victim's own."""

    sets: DataSets
    shape: tuple[int, ...]
    victim: str  #: the name of the victim's data set
    hidden: str  #: the fingerprint of its training images, which may lie under other names

    def __call__(self, name: str) -> Split:
        """Return all training images of the set ``name`` in the victim's format, with labels."""
        find("datasets", name.partition(":")[0])
        data = None if name == self.victim else self.sets.load(name)
        if data is None or fingerprint(data.train.images) == self.hidden:
            raise BadOption(
                f"Data set {name!r} is the victim's own: an attacker who had it would need no "
                "victim. Name another one."
            )
        return self.sets.on_device(Split(adapt(data.train.images, self.shape), data.train.labels))
