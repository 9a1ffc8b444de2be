"""Tell damaged files from sound ones, by name."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from torch import Tensor

from ringfence.errors import DamagedData, RingfenceError
from ringfence.types import Split


def damaged(file: Path, reason: str) -> DamagedData:
    """Return the error that names ``file`` and what to do about it."""
    return DamagedData(
        f"{file} is damaged: {reason}. Delete it, then download it again or copy it anew."
    )


@contextmanager
def reading(file: Path) -> Iterator[None]:
    """Blame ``file`` for whatever its parser raises."""
    try:
        yield
    except (RingfenceError, MemoryError):
        raise
    except Exception as error:  # parsers of other people's bytes raise anything
        raise damaged(file, f"{type(error).__name__}: {error}") from error


def check_md5(file: Path, md5: str | None) -> None:
    """Refuse a file with another sum than ``md5``; ``None`` means that no sum is published."""
    from torchvision.datasets.utils import check_md5 as equal

    if md5 is None:
        return
    with reading(file):
        if not equal(file, md5):
            raise damaged(file, f"its md5 sum is not {md5}")


def checked(images: Tensor, labels: Tensor, num_classes: int, file: Path) -> Split:
    """Return a split of uint8 images and their int64 labels; ``file`` held the labels."""
    if len(images) != len(labels) or not len(labels):
        raise damaged(file, f"{len(labels)} labels for {len(images)} images")
    low, high = labels.aminmax()
    if low < 0 or high >= num_classes:
        raise damaged(file, f"labels {int(low)} to {int(high)} instead of 0 to {num_classes - 1}")
    return Split(images.contiguous(), labels.long())
