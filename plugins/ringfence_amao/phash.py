"""Perceptual hashes of whole batches: 64 bits that say what an image looks like from afar.

AMAO, section 4.4.2 and figure 6. The rule ``median`` gives what ``imagehash.phash`` gives, bit
for bit: grey by ITU-R 601, Pillow's Lanczos to 32x32, DCT-II, the 8x8 lowest frequencies, a bit
where one exceeds their median. ``mean`` compares with their mean instead, as the paper says;
``mean_no_dc`` leaves the first of them, the brightness, out of that mean.
"""

from __future__ import annotations

import math
from functools import cache

import imagehash
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

SIDE = 32  #: pixels of the image that is transformed
LOW = 8  #: rows and columns of the spectrum that are kept
BITS = LOW * LOW
CHUNK = 128  #: images at a time, so that what lies between stays in a CPU's cache
FIXED = 2**22  #: Pillow resizes 8-bit images with weights of so many steps
LUMA = (19595 / 2**16, 38470 / 2**16, 7471 / 2**16)  #: of red, green, blue, as Pillow has it


def phash(images: Tensor, rule: str = "median") -> Tensor:
    """Return hashes ``(N,)`` int64 of float images ``(N, 1 or 3, H, W)`` in ``[0, 1]``.

    ``rule``: median, mean, mean_no_dc, or imagehash, which asks that library image by image. The
    others work in float64, where Pillow's integers are exact: a hash is the same in any batch.
    """
    if rule == "imagehash" or (rule == "median" and _tall(images)):
        return _by_library(images)
    return torch.cat([_hashes(chunk, rule) for chunk in images.split(CHUNK)])


def _tall(images: Tensor) -> bool:
    """Return whether Pillow may shrink the height first: its versions differ there."""
    height, width = images.shape[-2:]
    return height > max(width, SIDE)


def _hashes(images: Tensor, rule: str) -> Tensor:
    low = _spectrum(_small(_grey(images))).t().contiguous().cpu().numpy()
    # Rounded, or the noise of the transform would decide the bits of a flat image.
    low = (low * 1e6).round()
    if rule == "median":  # more than the lower of the two middle ones: more than their mean
        level = np.partition(low, BITS // 2 - 1)[:, BITS // 2 - 1, None]
    else:
        level = low[:, rule == "mean_no_dc" :].mean(1, keepdims=True)
    return _packed(low > level).to(images.device)


def hamming(hashes: Tensor, other: Tensor) -> Tensor:
    """Return in how many bits, uint8, two hashes differ; the two are broadcast."""
    differing = hashes ^ other
    if differing.device.type == "cpu":
        counts = np.bitwise_count(differing.numpy().view(np.uint64))
        return torch.from_numpy(counts)
    return _ones(differing)


def _grey(images: Tensor) -> Tensor:
    """Return 8-bit grey ``(H, W, N)`` as float64; float32 holds all that comes before exactly.

    With the images last, every product below is one of few rows and many columns: fast.
    """
    pixels = images.float().mul(255).round_()
    grey = pixels[:, 0]
    if pixels.shape[1] == 3:
        grey = grey * LUMA[0]
        grey.add_(pixels[:, 1], alpha=LUMA[1]).add_(pixels[:, 2], alpha=LUMA[2])
        grey.add_(0.5).floor_()
    count, height, width = grey.shape
    return grey.reshape(count, -1).t().contiguous().double().view(height, width, count)


def _small(grey: Tensor) -> Tensor:
    """Return 8-bit grey ``(32, 32, N)`` in Pillow's two passes: the width, then the height."""
    height, width, count = grey.shape
    if width != SIDE:
        weights = _lanczos(width, grey.device).expand(height, SIDE, width)
        grey = _whole(weights @ grey)
    if height != SIDE:
        grey = _whole(_lanczos(height, grey.device) @ grey.view(height, -1))
    return grey.view(SIDE, SIDE, count)


def _whole(values: Tensor) -> Tensor:
    """Round to 8 bits, in place."""
    return values.add_(0.5).floor_().clamp_(0, 255)


def _spectrum(small: Tensor) -> Tensor:
    """Return the lowest frequencies ``(64, N)`` of the unnormalised DCT-II."""
    basis, count = _cosines(small.device), small.shape[2]
    tall = (basis @ small.view(SIDE, -1)).view(LOW, SIDE, count)
    return (basis.expand(LOW, LOW, SIDE) @ tall).view(BITS, count)


def _by_library(images: Tensor) -> Tensor:
    """Return what ``imagehash.phash`` says of each image."""
    pixels = images.float().mul(255).round_().byte().permute(0, 2, 3, 1).cpu().numpy()
    grey = pixels.shape[-1] == 1
    found = [imagehash.phash(Image.fromarray(p[..., 0] if grey else p)).hash for p in pixels]
    return _packed(np.stack(found).reshape(-1, BITS)).to(images.device)


@cache
def _lanczos(size: int, device: torch.device) -> Tensor:
    """Return Pillow's weights ``(32, size)`` in multiples of 2 ** -22."""
    scale = size / SIDE
    stretch = max(1.0, scale)  # wider where pixels are dropped
    centre = (np.arange(SIDE) + 0.5) * scale
    first = np.maximum((centre - 3 * stretch + 0.5).astype(int), 0)
    last = np.minimum((centre + 3 * stretch + 0.5).astype(int), size)
    place = np.arange(size)[:, None]
    away = (place - centre + 0.5) / stretch
    weights = np.where(np.abs(away) < 3, np.sinc(away) * np.sinc(away / 3), 0.0)
    weights *= (place >= first) & (place < last)
    weights /= weights.sum(0)
    fixed = np.trunc(weights * FIXED + np.copysign(0.5, weights))
    return torch.from_numpy(fixed / FIXED).t().contiguous().to(device)


@cache
def _cosines(device: torch.device) -> Tensor:
    """Return ``(8, 32)``: twice the cosines of the DCT-II."""
    place, wave = np.arange(SIDE), np.arange(LOW)[:, None]
    return torch.from_numpy(2 * np.cos(math.pi * wave * (2 * place + 1) / (2 * SIDE))).to(device)


def _packed(bits: NDArray[np.bool_]) -> Tensor:
    """Return ``(N,)`` int64 of bools ``(N, 64)``; the first is the highest."""
    return torch.from_numpy(np.packbits(bits, axis=1).view(">i8")[:, 0].astype(np.int64))


def _ones(words: Tensor) -> Tensor:
    """Count the ones of int64 words; shifts keep the sign, so the masks come after them."""
    pairs = words - ((words >> 1) & 0x5555555555555555)
    fours = (pairs & 0x3333333333333333) + ((pairs >> 2) & 0x3333333333333333)
    bytes_ = (fours + (fours >> 4)) & 0x0F0F0F0F0F0F0F0F
    ones = torch.stack([(bytes_ >> shift) & 0xFF for shift in range(0, 64, 8)]).sum(0)
    return ones.to(torch.uint8)
