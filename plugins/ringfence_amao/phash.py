"""Perceptual hashes of whole batches: 64 bits that say what an image looks like from afar.

AMAO, section 4.4.2 and figure 6. The rule ``median`` gives what ``imagehash.phash`` gives, bit
for bit: grey by ITU-R 601, Pillow's Lanczos to 32x32, DCT-II, the 8x8 lowest frequencies, a bit
where one exceeds their median. ``mean`` compares with their mean instead, as the paper says.
"""

from __future__ import annotations

import math
from functools import cache

import imagehash
import numpy as np
import torch
from PIL import Image
from torch import Tensor

SIDE = 32  #: pixels of the image that is transformed
LOW = 8  #: rows and columns of the spectrum that are kept
BITS = LOW * LOW
CHUNK = 64  #: images at a time, so that what lies between stays in a CPU's cache
FIXED = 2**22  #: Pillow resizes 8-bit images with weights of so many steps
LUMA = (19595, 38470, 7471)  #: of 65536, as Pillow weighs red, green and blue


def phash(images: Tensor, rule: str = "median") -> Tensor:
    """Return hashes ``(N,)`` int64 of float images ``(N, 1 or 3, H, W)`` in ``[0, 1]``.

    ``rule``: median, mean, or imagehash, which asks that library image by image. The others work
    in float64, where Pillow's integers are exact: a hash is the same in any batch.
    """
    if rule == "imagehash" or (rule == "median" and _tall(images)):
        return _by_library(images)
    return torch.cat([_hashes(chunk, rule) for chunk in images.split(CHUNK)])


def _tall(images: Tensor) -> bool:
    """Return whether Pillow may shrink the height first: its versions differ there."""
    height, width = images.shape[-2:]
    return height > max(width, SIDE)


def _hashes(images: Tensor, rule: str) -> Tensor:
    low = _spectrum(_small(_grey(images))).flatten(1)
    # Rounded, or the noise of the transform would decide the bits of a flat image.
    low = low.mul_(1e6).round_()
    if rule == "median":  # more than the lower of the two middle ones: more than their mean
        level = low.kthvalue(BITS // 2, dim=1, keepdim=True).values
    else:
        level = low.mean(1, keepdim=True)
    return _packed(low > level)


def hamming(hashes: Tensor, other: Tensor) -> Tensor:
    """Return in how many bits, uint8, two hashes differ; the two are broadcast."""
    differing = hashes ^ other
    if differing.device.type == "cpu":
        counts = np.bitwise_count(differing.numpy().view(np.uint64))
        return torch.from_numpy(counts)
    return _ones(differing)


def _grey(images: Tensor) -> Tensor:
    """Return 8-bit grey ``(N, H, W)`` as float64; float32 holds all that comes before exactly."""
    pixels = images.float().mul(255).round_()
    if pixels.shape[1] == 1:
        return pixels[:, 0].double()
    mixed = pixels[:, 0] * LUMA[0]
    mixed.add_(pixels[:, 1], alpha=LUMA[1]).add_(pixels[:, 2], alpha=LUMA[2])
    return mixed.add_(2**15).mul_(2.0**-16).floor_().double()


def _small(grey: Tensor) -> Tensor:
    """Return 8-bit grey ``(N, W, H)`` of side 32, turned: Pillow's two passes leave it so."""
    for _ in range(2):  # the width, then, turned, the height
        if grey.shape[2] != SIDE:
            grey = (grey @ _lanczos(grey.shape[2], grey.device)).add_(0.5).floor_().clamp_(0, 255)
        grey = grey.transpose(1, 2).contiguous()
    return grey.transpose(1, 2)


def _spectrum(turned: Tensor) -> Tensor:
    """Return the lowest frequencies ``(N, 8, 8)`` of the unnormalised DCT-II."""
    basis = _cosines(turned.device)
    return (turned @ basis).transpose(1, 2).contiguous() @ basis


def _by_library(images: Tensor) -> Tensor:
    """Return what ``imagehash.phash`` says of each image."""
    pixels = images.float().mul(255).round_().byte().permute(0, 2, 3, 1).cpu().numpy()
    grey = pixels.shape[-1] == 1
    found = [imagehash.phash(Image.fromarray(p[..., 0] if grey else p)).hash for p in pixels]
    bits = torch.from_numpy(np.stack(found)).flatten(1)
    return _packed(bits.to(images.device))


@cache
def _lanczos(size: int, device: torch.device) -> Tensor:
    """Return Pillow's weights ``(size, 32)`` in multiples of 2 ** -22."""
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
    return torch.from_numpy(fixed / FIXED).to(device)


@cache
def _cosines(device: torch.device) -> Tensor:
    """Return ``(32, 8)``: twice the cosines of the DCT-II."""
    place, wave = np.arange(SIDE)[:, None], np.arange(LOW)
    return torch.from_numpy(2 * np.cos(math.pi * wave * (2 * place + 1) / (2 * SIDE))).to(device)


def _packed(bits: Tensor) -> Tensor:
    """Return ``(N,)`` int64 of bools ``(N, 64)``; the first is the highest."""
    places = torch.arange(BITS - 1, -1, -1, device=bits.device)
    return (bits.long() << places).sum(1)


def _ones(words: Tensor) -> Tensor:
    """Count the ones of int64 words; shifts keep the sign, so the masks come after them."""
    pairs = words - ((words >> 1) & 0x5555555555555555)
    fours = (pairs & 0x3333333333333333) + ((pairs >> 2) & 0x3333333333333333)
    bytes_ = (fours + (fours >> 4)) & 0x0F0F0F0F0F0F0F0F
    ones = torch.stack([(bytes_ >> shift) & 0xFF for shift in range(0, 64, 8)]).sum(0)
    return ones.to(torch.uint8)
