"""The data set ``shapes``: four shapes of random size, place and shade, drawn by Pillow."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from attrs import define, field, validators
from numpy.random import Generator
from PIL import Image, ImageDraw

from ringfence.types import ImageSet, Split

SIDE, TEST = 28, 400
SHAPES = ("disc", "square", "triangle", "cross")


@define(eq=False)
class Shapes:
    """Bright shapes on a dark, noisy ground: images 1x28x28, four classes."""

    defaults: ClassVar[dict[str, Any]] = {
        "model": "perceptron",
        "pool": "glyphs:letters",
        "outliers": "glyphs:signs",
        "seeds": 40,
        "budget": 500,
    }

    train: int = field(
        default=1200, validator=validators.ge(8), metadata={"help": "training images"}
    )
    noise: float = field(
        default=20.0, validator=validators.ge(0), metadata={"help": "deviation, of 255"}
    )

    def load(self, root: Path | None, offline: bool) -> ImageSet:
        """Draw the images; nothing is read, so neither argument matters."""
        random = np.random.default_rng(0)  # never the global one: loading changes no stream
        train, test = (self._drawn(size, random) for size in (self.train, TEST))
        return ImageSet(train, test, len(SHAPES))

    def _drawn(self, size: int, random: Generator) -> Split:
        labels = np.arange(size) % len(SHAPES)
        images = np.stack([_shape(SHAPES[label], random) for label in labels])
        noisy = images + random.normal(0, self.noise, images.shape)
        pixels = torch.from_numpy(noisy.clip(0, 255).astype(np.uint8))
        return Split(pixels[:, None], torch.from_numpy(labels))


def _shape(name: str, random: Generator) -> np.ndarray[Any, Any]:
    """Return one image ``(28, 28)``."""
    image = Image.new("L", (SIDE, SIDE), int(random.integers(0, 60)))
    draw, shade = ImageDraw.Draw(image), int(random.integers(140, 256))
    radius = int(random.integers(5, 10))
    x, y = (int(random.integers(radius, SIDE - radius)) for _ in range(2))
    left, top, right, bottom = x - radius, y - radius, x + radius, y + radius
    if name == "disc":
        draw.ellipse((left, top, right, bottom), fill=shade)
    elif name == "square":
        draw.rectangle((left, top, right, bottom), fill=shade)
    elif name == "triangle":
        draw.polygon([(x, top), (left, bottom), (right, bottom)], fill=shade)
    else:
        draw.line((left, top, right, bottom), fill=shade, width=3)
        draw.line((left, bottom, right, top), fill=shade, width=3)
    return np.asarray(image, dtype=np.float64)
