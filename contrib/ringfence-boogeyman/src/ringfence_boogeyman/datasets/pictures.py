"""Decode picture files, which anybody may have made."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from ringfence_boogeyman.datasets.layout import damaged

FORMATS = ("JPEG", "PNG")  #: Pillow's other decoders stay closed
SUFFIXES = (".jpg", ".jpeg", ".png")
PIXELS = 50_000_000  #: a picture of more is not decoded; a retina's has up to 18 million
WORKERS = 4  #: each may hold a decoded picture


def files(folder: Path) -> list[Path]:
    """Return the visible picture files in ``folder``, by name."""
    found = [f for f in folder.iterdir() if f.suffix.lower() in SUFFIXES]
    return sorted(f for f in found if not f.name.startswith("."))


def load(paths: Sequence[Path], size: int) -> Tensor:
    """Return pictures as uint8 ``(N, 3, size, size)``: the middle square, scaled.

    Raises :class:`ringfence.errors.DamagedData` with the name of the first that cannot be read.
    """
    images = torch.empty(len(paths), size, size, 3, dtype=torch.uint8)
    rows = images.numpy()

    def decode(row: int) -> None:
        rows[row] = _decoded(paths[row], size)

    with ThreadPoolExecutor(WORKERS) as pool:
        for _ in pool.map(decode, range(len(paths))):  # raises the first error
            pass
    return images.permute(0, 3, 1, 2).contiguous()


def _decoded(path: Path, size: int) -> np.ndarray:
    try:
        with Image.open(path, formats=FORMATS) as opened:
            if opened.width * opened.height > PIXELS:
                raise damaged(path, f"{opened.width}x{opened.height} are more than {PIXELS:,}")
            fitted = ImageOps.fit(opened.convert("RGB"), (size, size), Image.Resampling.BILINEAR)
            return np.asarray(fitted)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise damaged(path, f"{type(error).__name__}: {error}") from error
