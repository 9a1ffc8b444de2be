"""Letters and signs, drawn: images without a download that are no digits.

Each character is drawn a few times with the font inside Pillow, each time with another
stroke; torch then bends, places and roughens copies of the drawings, many at a time.
"""

from __future__ import annotations

import math
import string
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
import torch
import torch.nn.functional as F
from attrs import define, field, validators
from PIL import Image, ImageDraw, ImageFont
from torch import Generator, Tensor

from ringfence.types import ImageSet, Split

#: lower-case letters that are no smaller capitals: those that EMNIST does not merge
LETTERS = string.ascii_uppercase + "abdefghnqrt"
SIGNS = "!#$%&()*+/<=>?@[\\]^{}~"
FAMILIES = {"letters": LETTERS, "signs": SIGNS}
TEST = 1_000
SIDE = 28
DRAWN = 2 * SIDE  #: drawn at twice the size, so that bent edges stay smooth
FONT_SIZE = 50  #: the widest character and its stroke just fit
STROKES = (0, 1, 2)  #: a wider one fills @ and % until they look like a nought
CHUNK = 1_000

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


@define(eq=False)
class Glyphs:
    """Letters or signs in Pillow's own font, white on black, 28x28."""

    variant: ClassVar[str] = "family"

    family: Literal["letters", "signs"] = field(
        default="letters",
        validator=validators.in_(tuple(FAMILIES)),
        metadata={"help": "which characters; the two families share none"},
    )
    count: int = field(
        default=10_000, validator=validators.gt(0), metadata={"help": "training images"}
    )
    seed: int = field(
        default=0, validator=validators.ge(0), metadata={"help": "other images, same characters"}
    )

    def load(self, root: Path | None, offline: bool) -> ImageSet:
        drawings = _drawings(FAMILIES[self.family])
        streams = (torch.Generator().manual_seed(2 * self.seed + part) for part in (0, 1))
        sizes = (self.count, TEST)
        train, test = (
            _split(drawings, n, random) for n, random in zip(sizes, streams, strict=True)
        )
        return ImageSet(train, test, len(drawings))


def _drawings(characters: str) -> Tensor:
    """Return float ``(characters, strokes, DRAWN, DRAWN)`` in ``[0, 1]``."""
    font = ImageFont.load_default(FONT_SIZE)
    drawn = [[_draw(character, stroke, font) for stroke in STROKES] for character in characters]
    sharp = torch.from_numpy(np.array(drawn)).float() / 255
    return F.avg_pool2d(sharp, 3, stride=1, padding=1)  # or every second pixel would be lost


def _draw(character: str, stroke: int, font: Font) -> np.ndarray:
    """Return one character, its ink in the middle of the square."""
    image = Image.new("L", (DRAWN, DRAWN))
    left, top, right, bottom = font.getbbox(character, stroke_width=stroke)
    corner = ((DRAWN - left - right) / 2, (DRAWN - top - bottom) / 2)
    ImageDraw.Draw(image).text(corner, character, 255, font, stroke_width=stroke)
    return np.asarray(image)


def _split(drawings: Tensor, size: int, random: Generator) -> Split:
    """Draw ``size`` images, as many of each character as of every other."""
    labels = torch.arange(size) % len(drawings)
    labels = labels[torch.randperm(size, generator=random)]
    images = [_vary(drawings, chunk, random) for chunk in labels.split(CHUNK)]
    return Split(torch.cat(images), labels)


def _vary(drawings: Tensor, labels: Tensor, random: Generator) -> Tensor:
    """Return uint8 ``(N, 1, SIDE, SIDE)``: each label drawn, bent and roughened at random."""
    size = len(labels)
    strokes = torch.randint(len(STROKES), (size,), generator=random)
    grid = F.affine_grid(_affine(size, random), [size, 1, SIDE, SIDE], align_corners=False)
    bent = F.grid_sample(drawings[labels, strokes][:, None], grid, align_corners=False)
    # On the ink only: digits lie on pure black, and noise there would give every glyph away.
    noise = 1 + 0.1 * torch.randn(bent.shape, generator=random)
    return ((bent * noise).clamp(0, 1) * 255).round().to(torch.uint8)


def _affine(size: int, random: Generator) -> Tensor:
    """Return ``(size, 2, 3)``: 15 degrees, 75 to 105 percent, a fifth sheared, 2 pixels."""

    def between(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(size, generator=random)

    angle, shear = between(-math.pi / 12, math.pi / 12), between(-0.2, 0.2)
    zoom, across, down = 1 / between(0.75, 1.05), between(-1 / 7, 1 / 7), between(-1 / 7, 1 / 7)
    cos, sin = zoom * angle.cos(), zoom * angle.sin()
    rows = (cos, shear * cos - sin, across, sin, shear * sin + cos, down)
    return torch.stack(rows, 1).view(-1, 2, 3)
