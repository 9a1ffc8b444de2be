"""Images of any set become what a model takes, as Pillow would do it in floating point."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from ringfence import images
from ringfence.errors import BadOption

SIDES = st.integers(1, 24)
SHAPES = st.tuples(st.sampled_from([1, 3]), SIDES, SIDES)
# not one pixel wide: torch 2.13 gives all rows of such an image the first one's value
WANTED = st.tuples(st.sampled_from([1, 3]), SIDES, st.integers(2, 24))
DTYPES = st.sampled_from([torch.uint8, torch.float32])


def noise(size, shape, dtype=torch.uint8):
    pixels = torch.randint(256, (size, *shape), generator=torch.Generator().manual_seed(0))
    return pixels.to(torch.uint8) if dtype == torch.uint8 else pixels.to(dtype) / 255


def resized(plane, height, width):
    """One channel, scaled by Pillow until it covers the size, then cut at its centre."""
    have_height, have_width = plane.shape
    scale = max(height / have_height, width / have_width)
    size = max(width, round(have_width * scale)), max(height, round(have_height * scale))
    scaled = np.asarray(Image.fromarray(plane).resize(size, Image.Resampling.BILINEAR))
    top, left = (size[1] - height) // 2, (size[0] - width) // 2
    return scaled[top : top + height, left : left + width]


def reference(image, shape):
    """One float image ``(C, H, W)`` in ``[0, 1]``, brought to ``shape`` without torch."""
    channels, height, width = shape
    if len(image) == 3 and channels == 1:
        red, green, blue = image
        image = (0.299 * red + 0.587 * green + 0.114 * blue)[None]
    planes = [resized(np.asarray(plane, np.float32), height, width) for plane in image]
    return np.stack(planes * (channels if len(planes) == 1 else 1))


@settings(max_examples=200, deadline=None)
@given(have=SHAPES, want=WANTED, dtype=DTYPES)
def test_adapted_images_are_those_of_pillow(have, want, dtype):
    given_images = noise(2, have, dtype)
    adapted = images.adapt(given_images, want)
    expected = np.stack([reference(i.numpy(), want) for i in images.as_float(given_images)])

    assert adapted.dtype == dtype
    assert adapted.shape == (2, *want)
    tolerance = 0.51 / 255 if dtype == torch.uint8 else 1e-5
    assert np.abs(images.as_float(adapted).numpy() - expected).max() < tolerance


@settings(max_examples=50, deadline=None)
@given(have=SHAPES, want=SHAPES, dtype=DTYPES, level=st.integers(0, 255))
def test_a_flat_image_keeps_its_level(have, want, dtype, level):
    flat = images.adapt(noise(1, have, dtype) * 0 + (level if dtype == torch.uint8 else 0.5), want)

    assert torch.allclose(
        flat.float(), torch.tensor(float(level if flat.dtype.itemsize == 1 else 0.5))
    )


@settings(max_examples=50, deadline=None)
@given(shape=SHAPES, dtype=DTYPES)
def test_images_of_the_wanted_shape_are_not_touched(shape, dtype):
    own = noise(3, shape, dtype)

    assert images.adapt(own, shape) is own


@settings(max_examples=50, deadline=None)
@given(have=SHAPES, want=SHAPES, cut=st.integers(0, 5))
def test_images_are_adapted_one_by_one(have, want, cut):
    own = noise(5, have)
    parts = torch.cat([images.adapt(own[:cut], want), images.adapt(own[cut:], want)])

    assert torch.equal(parts, images.adapt(own, want))


def test_many_images_are_adapted_in_chunks_of_bounded_memory(monkeypatch):
    own = noise(7, (3, 6, 5))
    whole = images.adapt(own, (1, 4, 4))
    monkeypatch.setattr(images, "_CHUNK", 2)

    assert torch.equal(images.adapt(own, (1, 4, 4)), whole)


def test_no_images_become_no_images_of_the_wanted_shape():
    none = images.adapt(torch.empty(0, 3, 8, 8, dtype=torch.uint8), (1, 4, 4))

    assert none.shape == (0, 1, 4, 4)
    assert none.dtype == torch.uint8


def test_grey_weighs_colours_as_pillow_does():
    colours = noise(500, (3, 1, 1))
    pillow = [
        Image.new("RGB", (1, 1), tuple(c)).convert("L").getpixel((0, 0))
        for c in colours.view(-1, 3).tolist()
    ]
    grey = images.adapt(colours, (1, 1, 1)).flatten()

    assert (grey.int() - torch.tensor(pillow)).abs().max() <= 1  # Pillow's weights are 16-bit
    assert (grey == torch.tensor(pillow)).float().mean() > 0.99


def test_grey_becomes_colour_by_repetition():
    grey = noise(4, (1, 5, 7))

    assert torch.equal(images.adapt(grey, (3, 5, 7)), grey.repeat(1, 3, 1, 1))


@pytest.mark.parametrize("channels", [2, 4])
def test_other_channels_are_an_error_with_both_numbers(channels):
    with pytest.raises(BadOption, match=rf"{channels} channels cannot .* of 3.*another data set"):
        images.adapt(noise(1, (channels, 4, 4)), (3, 4, 4))


@pytest.mark.parametrize(
    ("have", "want"),
    [
        ((1, 28, 28), (1, 28, 28)),  # FashionMNIST for an MNIST victim
        ((3, 32, 32), (1, 28, 28)),  # CIFAR-100 for an MNIST victim
        ((3, 300, 451), (3, 224, 224)),  # a photo for an Imagenette victim
        ((1, 28, 28), (3, 224, 224)),  # MNIST for an Imagenette victim
    ],
)
def test_pairs_of_real_formats(have, want):
    own = noise(2, have)
    adapted = images.adapt(own, want)

    assert adapted.shape == (2, *want)
    assert adapted.dtype == torch.uint8
    assert (have == want) == (adapted is own)


def test_a_square_of_twice_the_size_keeps_its_middle():
    wide = torch.zeros(1, 1, 4, 12, dtype=torch.uint8)
    wide[..., 4:8] = 255

    assert torch.equal(
        images.adapt(wide, (1, 4, 4)), torch.full((1, 1, 4, 4), 255, dtype=torch.uint8)
    )


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
def test_float_images_stay_as_they_are(dtype):
    own = noise(1, (1, 3, 3), dtype)

    assert images.as_float(own) is own


def test_bytes_become_fractions():
    assert images.as_float(torch.tensor([0, 51, 255], dtype=torch.uint8)).tolist() == pytest.approx(
        [0, 0.2, 1]
    )
