"""Quicker pooling says what PyTorch's says, to the bit."""

from __future__ import annotations

import pytest
import torch
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
    assert torch.equal(quick(images), plain(images))


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
