"""Layers that say what PyTorch's own say, sooner, on a CPU that answers a few images or many."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor, nn

FEW = 1_000_000  #: multiplications of a convolution up to which oneDNN does not pay
SMALL = 8192  #: numbers up to which one call of PyTorch's pooling takes less than several maxima

#: what PyTorch itself takes without oneDNN
_direct: Callable[..., Tensor] = torch.ops.aten.thnn_conv2d.default


def quicker(module: nn.Module) -> nn.Module:
    """Return what says the same sooner; the module itself where nothing does."""
    if type(module) is nn.Conv2d and _is_plain_conv(module):
        return Conv(module)
    if type(module) is nn.MaxPool2d and _is_plain_pool(module):
        return MaxPool(module)
    return module


class Conv(nn.Module):
    """A convolution without oneDNN where there is little to do: it prepares for longer than that.

    The last bits of a sum differ, as they do from one size of a batch to another.
    """

    def __init__(self, plain: nn.Conv2d) -> None:
        super().__init__()
        self.plain = plain
        size = cast(tuple[int, int], plain.kernel_size)
        self.work = plain.out_channels * size[0] * size[1]  # multiplications a number, at most
        self.given = (plain.weight, size, plain.bias, plain.stride, plain.padding)

    def forward(self, images: Tensor) -> Tensor:
        """Return ``(N, C, H, W)``."""
        if images.numel() * self.work > FEW:
            return self.plain.forward(images)
        return _direct(images, *self.given)


class MaxPool(nn.Module):
    """Largest numbers of squares side by side, for many images as maxima of slices.

    That takes a tenth of the time: PyTorch's own also notes where each maximum was, for
    gradients that nobody asks of a guard.
    """

    def __init__(self, plain: nn.MaxPool2d) -> None:
        super().__init__()
        self.size = cast(int, plain.kernel_size)

    def forward(self, images: Tensor) -> Tensor:
        """Return ``(N, C, H // size, W // size)``."""
        size = self.size
        if images.numel() <= SMALL:
            return torch.max_pool2d(images, size)
        height, width = (side // size * size for side in images.shape[-2:])
        rows = [images[..., at:height:size, :width] for at in range(size)]
        tall = _largest(rows)
        return _largest([tall[..., at::size] for at in range(size)])


def _is_plain_conv(module: nn.Conv2d) -> bool:
    """Return whether all channels meet, without gaps, in float32, beside zeros."""
    usual = module.groups == 1 and module.dilation == (1, 1) and module.padding_mode == "zeros"
    return usual and isinstance(module.padding, tuple) and module.weight.dtype is torch.float32


def _is_plain_pool(module: nn.MaxPool2d) -> bool:
    """Return whether a module takes maxima of squares side by side."""
    if not isinstance(module.kernel_size, int) or module.stride != module.kernel_size:
        return False
    told = (module.padding, module.dilation, module.ceil_mode, module.return_indices)
    return told == (0, 1, False, False)


def _largest(parts: list[Tensor]) -> Tensor:
    found = parts[0]
    for part in parts[1:]:
        found = torch.maximum(found, part)
    return found
