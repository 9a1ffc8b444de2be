"""Quicker layers say what PyTorch's say: pools to the bit, convolutions to the last ones."""

from __future__ import annotations

import pytest
import torch
from ringfence_serve.layers import Conv
from ringfence_serve.quick import quickened
from torch import nn


def pools(model):
    return [one for one in model.modules() if type(one) is nn.MaxPool2d]


@pytest.mark.parametrize("size", [2, 3])
@pytest.mark.parametrize("shape", [(1, 1, 28, 28), (5, 6, 14, 13), (3, 16, 10, 31)])
def test_pools_are_the_same_numbers(size, shape):
    random = torch.Generator().manual_seed(0)
    images = torch.randn(shape, generator=random).round(decimals=1)  # with ties
    images[0, 0, 0, 0] = torch.nan
    plain = nn.Sequential(nn.MaxPool2d(size), nn.Flatten())
    quick = quickened(plain)

    assert not pools(quick)
    assert torch.equal(quick(images).nan_to_num(9), plain(images).nan_to_num(9))


def test_the_model_itself_stays_and_shares_its_weights():
    plain = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Sequential(nn.ReLU(), nn.MaxPool2d(2)))
    quick, images = quickened(plain), torch.rand(3, 1, 9, 9)

    assert pools(plain)
    assert next(quick.parameters()) is plain[0].weight
    torch.testing.assert_close(quick(images), plain(images), rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    "told", [{}, {"stride": 2}, {"padding": 2}, {"bias": False}, {"kernel_size": (3, 5)}]
)
@pytest.mark.parametrize("count", [1, 3, 40])
def test_convolutions_are_the_same_numbers(told, count):
    plain = nn.Conv2d(**{"in_channels": 3, "out_channels": 8, "kernel_size": 5, **told})
    images = torch.rand(count, 3, 16, 16)
    parent = nn.Sequential(plain)

    assert type(quickened(parent).whole[0]) is Conv
    torch.testing.assert_close(quickened(parent)(images), plain(images), rtol=0, atol=2e-6)


@pytest.mark.parametrize("told", [{"groups": 2}, {"dilation": 2}, {"padding": "same"}])
def test_other_convolutions_stay(told):
    plain = nn.Sequential(nn.Conv2d(2, 4, 3, **told), nn.Conv2d(4, 2, 3, padding_mode="reflect"))

    assert [type(one) for one in quickened(plain).whole] == [nn.Conv2d, nn.Conv2d]


def test_hooks_are_called():
    plain, seen = nn.Sequential(nn.Sequential(nn.ReLU(), nn.Flatten())), []
    plain[0].register_forward_hook(lambda *told: seen.append(told))
    quickened(plain)(torch.rand(1, 2, 2))

    assert len(seen) == 1


@pytest.mark.parametrize(
    "told", [{"stride": 1}, {"padding": 1}, {"ceil_mode": True}, {"dilation": 2}]
)
def test_other_pools_stay(told):
    assert pools(quickened(nn.Sequential(nn.MaxPool2d(2, **told))))
    assert pools(quickened(nn.Sequential(nn.MaxPool2d((2, 2)))))
