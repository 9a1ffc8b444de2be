"""Bring images into the form that a model takes: float in ``[0, 1]``, its channels, its size.

The only place where a pool meets a victim of another format.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ringfence.errors import BadOption

LUMA = (0.299, 0.587, 0.114)  #: ITU-R BT.601, as Pillow turns colour into grey
_CHUNK = 1024  # images resized at a time: bounds the memory of the float copy


def as_float(images: Tensor) -> Tensor:
    """Return ``images`` as float in ``[0, 1]``; float images are returned as they are."""
    return images if images.is_floating_point() else images.float() / 255


def adapt(images: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Return ``images`` ``(N, C, H, W)`` with the channels, height and width of ``shape``.

    Colour becomes grey by luma weights, grey becomes colour by repetition. The image is
    scaled (bilinear, anti-aliased) until it covers the wanted size, then cut at its centre.
    The dtype stays.
    """
    if images.shape[1:] == shape:
        return images
    adapted = [_adapt(chunk, shape) for chunk in images.split(_CHUNK)]
    return torch.cat(adapted) if adapted else images.new_empty((0, *shape))


def _adapt(images: Tensor, shape: tuple[int, ...]) -> Tensor:
    adapted = _centre(_cover(_recolour(as_float(images), shape[0]), *shape[1:]), *shape[1:])
    if images.is_floating_point():
        return adapted.to(images.dtype)
    return (adapted * 255).round().clamp(0, 255).to(images.dtype)


def _recolour(images: Tensor, channels: int) -> Tensor:
    have = images.shape[1]
    if have == channels:
        return images
    if (have, channels) == (3, 1):
        weights = torch.tensor(LUMA, device=images.device, dtype=images.dtype)
        return torch.einsum("nchw,c->nhw", images, weights)[:, None]
    if (have, channels) == (1, 3):
        return images.expand(-1, 3, -1, -1)
    raise BadOption(
        f"Images of {have} channels cannot become images of {channels}: only grey (1) and "
        "colour (3) turn into each other. Choose another data set."
    )


def _cover(images: Tensor, height: int, width: int) -> Tensor:
    have_height, have_width = images.shape[2:]
    scale = max(height / have_height, width / have_width)
    size = (max(height, round(have_height * scale)), max(width, round(have_width * scale)))
    if size == (have_height, have_width):
        return images
    scaled: Tensor = F.interpolate(images, size=size, mode="bilinear", antialias=True)
    return scaled


def _centre(images: Tensor, height: int, width: int) -> Tensor:
    top, left = (images.shape[2] - height) // 2, (images.shape[3] - width) // 2
    return images[..., top : top + height, left : left + width]


def pixels(images: Tensor) -> list[bytes]:
    """Return each image of ``(N, C, H, W)`` as its uint8 pixels in the order H, W, C.

    One canonical form whatever the dtype, layout or device: what a keyed draw is made from.
    """
    whole = images if images.dtype == torch.uint8 else (images * 255).round().to(torch.uint8)
    raw = whole.permute(0, 2, 3, 1).contiguous().cpu().numpy().tobytes()
    size = whole[0].numel() if len(whole) else 0
    return [raw[start : start + size] for start in range(0, len(raw), size or 1)]
