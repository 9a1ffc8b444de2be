"""Decode picture files, which anybody may have made, into one tensor."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ringfence_vision.datasets.damage import damaged, reading

FORMATS = ("PNG", "JPEG", "PPM", "BMP", "WEBP")  #: Pillow's other decoders stay closed
SUFFIXES = (".png", ".jpg", ".jpeg", ".ppm", ".pgm", ".bmp", ".webp")
PIXELS = 50_000_000  #: a picture of more is not decoded
_MODES = {1: "L", 3: "RGB"}


def load(files: Sequence[Path], size: int, channels: int = 3) -> Tensor:
    """Return ``files`` as uint8 ``(N, channels, size, size)``.

    The shorter side becomes ``size``, bilinear and anti-aliased; the middle is kept.
    """
    images = torch.empty(len(files), channels, size, size, dtype=torch.uint8)
    rows = images.permute(0, 2, 3, 1).numpy()

    def decode(row: int) -> None:
        pixels = np.asarray(_square(files[row], size, _MODES[channels]))
        rows[row] = pixels.reshape(size, size, channels)

    with warnings.catch_warnings(), ThreadPoolExecutor(_workers()) as pool:
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        for _ in pool.map(decode, range(len(files))):  # raises the first error
            pass
    return images


def _workers() -> int:
    return min(4, os.cpu_count() or 1)  # each may hold a decoded picture of PIXELS


def _square(file: Path, size: int, mode: str) -> Image.Image:
    with reading(file), Image.open(file, formats=FORMATS) as opened:
        image: Image.Image = opened
        width, height = image.size
        if width * height > PIXELS:
            raise damaged(file, f"{width}x{height} pixels are more than {PIXELS:,}")
        if image.mode.startswith(("I", "F")):  # Pillow would clip them, to white
            raise damaged(file, "its pixels have more than 8 bits")
        if "transparency" in image.info:
            image = image.convert("RGBA")
        # Cut, then scaled: a picture one pixel high would be scaled to billions of them.
        side = min(width, height)
        left, top = (width - side) / 2, (height - side) / 2
        box = (left, top, left + side, top + side)
        return image.convert(mode).resize((size, size), Image.Resampling.BILINEAR, box)
