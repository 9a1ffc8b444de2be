"""MNIST and the sets that took over its format: 28x28 grey images in IDX files."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Literal

from attrs import define, field, validators
from torch import Tensor

from ringfence.types import ImageSet
from ringfence_vision.datasets.damage import check_md5, checked, damaged, reading
from ringfence_vision.datasets.root import obtain

PARTS = ("train", "t10k")
KINDS = ("images-idx3-ubyte", "labels-idx1-ubyte")
#: of the uncompressed files; torchvision knows only those of the .gz files, and so checks nothing
MD5 = {
    "MNIST/raw/train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
    "MNIST/raw/train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
    "MNIST/raw/t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
    "MNIST/raw/t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
    "FashionMNIST/raw/train-images-idx3-ubyte": "f4a8712d7a061bf5bd6d2ca38dc4d50a",
    "FashionMNIST/raw/train-labels-idx1-ubyte": "9018921c3c673c538a1fc5bad174d6f9",
    "FashionMNIST/raw/t10k-images-idx3-ubyte": "8181f5470baa50b63fa0f6fddb340f0a",
    "FashionMNIST/raw/t10k-labels-idx1-ubyte": "15d484375f8d13e6eb1aabb0c3f46965",
}
BUDGET = {"synthetic": 10_000, "pool": 60_000}
CLASSES = {"byclass": 62, "bymerge": 47, "balanced": 47, "letters": 26, "digits": 10, "mnist": 10}


@define(eq=False)
class Mnist:
    """Handwritten digits (LeCun et al. 1998)."""

    defaults: ClassVar[dict[str, Any]] = {
        "model": "lenet5",
        "pool": "fashionmnist",
        "outliers": ("kmnist", "glyphs:letters"),
        "seeds": 100,
        "budget": BUDGET,
        "recipe": {"shift": 2},
    }

    def load(self, root: Path | None, offline: bool) -> ImageSet:
        return _load("MNIST", root, offline)


@define(eq=False)
class FashionMnist:
    """Pictures of clothes (Xiao et al. 2017)."""

    defaults: ClassVar[dict[str, Any]] = {
        "model": "alexnet",
        "pool": "mnist",
        "outliers": ("kmnist", "glyphs:letters"),
        "seeds": 100,
        "budget": BUDGET,
        "recipe": {"shift": 2, "flip": True},
    }

    def load(self, root: Path | None, offline: bool) -> ImageSet:
        return _load("FashionMNIST", root, offline)


@define(eq=False)
class Kmnist:
    """Handwritten Japanese characters, kuzushiji (Clanuwat et al. 2018)."""

    def load(self, root: Path | None, offline: bool) -> ImageSet:
        return _load("KMNIST", root, offline)


@define(eq=False)
class Emnist:
    """Handwritten letters and digits (Cohen et al. 2017)."""

    variant: ClassVar[str] = "split"

    split: Literal["byclass", "bymerge", "balanced", "letters", "digits", "mnist"] = field(
        default="letters",
        validator=validators.in_(tuple(CLASSES)),
        metadata={"help": "which of EMNIST's six sets"},
    )

    def load(self, root: Path | None, offline: bool) -> ImageSet:
        parts = tuple(f"emnist-{self.split}-{part}" for part in ("train", "test"))
        raw = _raw("EMNIST", parts, root, offline, split=self.split)
        first = int(self.split == "letters")  # its labels start at 1
        read = ((*_read(raw, part), raw / f"{part}-{KINDS[1]}") for part in parts)
        classes = CLASSES[self.split]
        # EMNIST's files hold columns where MNIST's hold rows
        train, test = (checked(i.mT[:, None], n - first, classes, file) for i, n, file in read)
        return ImageSet(train, test, classes)


def _load(folder: str, root: Path | None, offline: bool) -> ImageSet:
    raw = _raw(folder, PARTS, root, offline)
    read = ((*_read(raw, part), raw / f"{part}-{KINDS[1]}") for part in PARTS)
    train, test = (checked(images[:, None], labels, 10, file) for images, labels, file in read)
    return ImageSet(train, test, 10)


def _raw(
    folder: str, parts: tuple[str, ...], root: Path | None, offline: bool, **options: str
) -> Path:
    """Return the folder of the IDX files, whose sums are right where they are published."""

    def fetch(staging: Path) -> None:
        from torchvision import datasets

        getattr(datasets, folder)(staging, download=True, **options)

    files = [f"{folder}/raw/{part}-{kind}" for part in parts for kind in KINDS]
    found = obtain(folder.lower(), root, offline, files, fetch)
    for file in files:
        check_md5(found / file, MD5.get(file))
    return found / folder / "raw"


def _read(raw: Path, part: str) -> tuple[Tensor, Tensor]:
    """Return images ``(N, 28, 28)`` and their labels as they are in the files."""
    from torchvision.datasets.mnist import read_image_file, read_label_file

    pixels, names = (raw / f"{part}-{kind}" for kind in KINDS)
    with reading(pixels):
        images: Tensor = read_image_file(pixels)
    with reading(names):
        labels: Tensor = read_label_file(names)
    if images.shape[1:] != (28, 28):
        raise damaged(pixels, f"its images are {tuple(images.shape[1:])} instead of (28, 28)")
    return images, labels
