"""The user's own pictures, in one folder per class."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from attrs import define, field, validators
from torch import Tensor

from ringfence.errors import BadOption
from ringfence.types import ImageSet, Split
from ringfence_vision.datasets import folders, pictures
from ringfence_vision.datasets.damage import checked, damaged
from ringfence_vision.datasets.root import data_root, missing


@define(eq=False)
class ImageFolder:
    """Any pictures, sorted into one folder per class."""

    variant: ClassVar[str] = "path"

    path: str = field(default="", metadata={"help": "folder, absolute or below the data root"})
    size: int = field(
        default=224,
        validator=[validators.ge(1), validators.le(1024)],
        metadata={"help": "pixels of the shorter side; the middle square is kept"},
    )
    channels: int = field(
        default=3, validator=validators.in_((1, 3)), metadata={"help": "1 grey, 3 colour"}
    )
    limit: int | None = field(
        default=None,
        validator=validators.optional(validators.gt(0)),
        metadata={"help": "most images of a class, evenly spaced over the names; none: all"},
    )

    def load(self, root: Path | None, offline: bool) -> ImageSet:
        folder = self._folder(root)
        parts = _parts(folder)
        if parts is None:
            return self._cut(folder, _classes(folder))
        names = _classes(parts[0])
        train, test = (self._read(part, names) for part in parts)
        return ImageSet(train, test, len(names))

    def _folder(self, root: Path | None) -> Path:
        if not self.path:
            raise BadOption("Data set 'imagefolder' needs a folder: name it imagefolder:FOLDER.")
        folder = data_root(root) / Path(self.path).expanduser()
        if not folder.is_dir():
            raise missing("imagefolder", folder, ["a folder per class"], "It cannot be downloaded.")
        return folder

    def _cut(self, folder: Path, names: list[str]) -> ImageSet:
        split = self._read(folder, names)
        held: Tensor = folders.held_out(split.labels)
        return ImageSet(split.rows(~held), split.rows(held), len(names))

    def _read(self, folder: Path, names: list[str]) -> Split:
        if strange := sorted(set(folders.classes(folder)) - set(names)):
            raise damaged(folder / strange[0], "there is no class of this name in train")
        files, labels = folders.listing(folder, names, self.limit)
        images = pictures.load(files, self.size, self.channels)
        return checked(images, labels, len(names), folder)


def _parts(folder: Path) -> tuple[Path, Path] | None:
    """Return the folders of the splits, where there are any; ``test`` comes before ``val``."""
    for name in ("test", "val"):
        if (folder / "train").is_dir() and (folder / name).is_dir():
            return folder / "train", folder / name
    return None


def _classes(folder: Path) -> list[str]:
    if names := folders.classes(folder):
        return names
    raise missing("imagefolder", folder, ["a folder per class"], "It cannot be downloaded.")
