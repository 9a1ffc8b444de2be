"""The batched perceptual hash against imagehash, bit for bit."""

from __future__ import annotations

from pathlib import Path

import imagehash
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image
from scipy.fft import dctn

from ringfence.plugins import build
from ringfence_amao.phash import _ones, hamming, phash

DATA = Path(__file__).parents[3] / "shared" / "data"
real = pytest.mark.skipif(not DATA.exists(), reason="needs the real image sets")


def library(pixels):
    """Return what imagehash says of one image, uint8 ``(H, W)`` or ``(H, W, 3)``."""
    return imagehash.phash(Image.fromarray(pixels)).hash.flatten()


def bits(hashes):
    """Return bools ``(N, 64)``."""
    return np.unpackbits(hashes.numpy().astype(">i8").view(np.uint8).reshape(-1, 8), axis=1) == 1


def batch(pixels):
    """Return float images ``(N, C, H, W)`` of uint8 ``(N, H, W[, 3])``."""
    images = torch.tensor(pixels)
    images = images[:, None] if images.ndim == 3 else images.permute(0, 3, 1, 2)
    return images.float() / 255


shapes = st.tuples(st.integers(8, 70), st.integers(8, 70)).flatmap(
    lambda side: st.sampled_from([side, (*side, 3)])
)


@settings(deadline=None, max_examples=100)
@given(shapes, st.integers(0, 2**32 - 1), st.sampled_from(["noise", "smooth", "sparse"]))
def test_it_is_imagehash_for_images_of_any_shape(shape, seed, kind):
    random = np.random.default_rng(seed)
    pixels = random.integers(0, 256, shape, dtype=np.uint8)
    if kind == "smooth":
        small = Image.fromarray(pixels).resize((5, 4))
        pixels = np.array(small.resize(shape[1::-1], Image.Resampling.BICUBIC))
    if kind == "sparse":
        pixels = pixels * (random.random(shape) < 0.1).astype(np.uint8)

    assert (bits(phash(batch(pixels[None])))[0] == library(pixels)).all()


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 255), st.sampled_from([(28, 28), (32, 32), (64, 48), (32, 32, 3)]))
def test_a_flat_image_has_the_hash_that_imagehash_gives_it(level, shape):
    pixels = np.full(shape, level, np.uint8)

    assert (bits(phash(batch(pixels[None])))[0] == library(pixels)).all()


@settings(deadline=None, max_examples=25)
@given(hnp.arrays(np.uint8, (7, 12, 12)))
def test_a_hash_is_the_same_in_any_batch(pixels):
    whole = phash(batch(pixels))

    assert torch.equal(whole, torch.cat([phash(batch(one[None])) for one in pixels]))
    assert torch.equal(whole, phash(batch(pixels.repeat(40, 0)))[::40])


def test_the_library_s_own_rule_is_the_library_s():
    pixels = np.random.default_rng(0).integers(0, 256, (3, 40, 40, 3), dtype=np.uint8)

    assert torch.equal(phash(batch(pixels), "imagehash"), phash(batch(pixels)))


def test_the_paper_s_mean_lets_the_brightness_decide():
    pixels = np.random.default_rng(0).integers(128, 256, (50, 32, 32), dtype=np.uint8)
    ones = {rule: bits(phash(batch(pixels), rule)).sum(1) for rule in ("mean", "median")}

    assert (ones["median"] == 32).all()
    assert ones["mean"].mean() < 5  # the DC term is far above all others, and so is the mean


def test_without_the_dc_term_the_mean_is_that_of_the_others():
    pixels = np.random.default_rng(0).integers(0, 256, (50, 32, 32), dtype=np.uint8)
    low = dctn(pixels.astype(float), axes=(1, 2))[:, :8, :8].reshape(50, 64)  # type II
    expected = low.round(6) > low.round(6)[:, 1:].mean(1, keepdims=True)

    assert np.array_equal(bits(phash(batch(pixels), "mean_no_dc")), expected)


@settings(deadline=None)
@given(hnp.arrays(np.int64, 20), hnp.arrays(np.int64, 1))
def test_distances_are_popcounts_on_any_device(left, right):
    expected = [int(one ^ right[0]) & (2**64 - 1) for one in left.tolist()]
    expected = [one.bit_count() for one in expected]
    left, right = torch.from_numpy(left), torch.from_numpy(right)

    assert hamming(left, right).tolist() == expected
    assert _ones(left ^ right).tolist() == expected  # what a GPU does


@pytest.mark.slow
@real
def test_it_is_imagehash_on_real_images():
    mnist = build("datasets", "mnist").load(DATA, True).test.images[:1000]
    signs = build("datasets", "gtsrb").load(DATA, True).test.images[:1000]
    files = sorted((DATA / "imagenette2-224").rglob("*.JPEG"))[:100]
    photos = [np.asarray(Image.open(file).convert("RGB")) for file in files]

    assert len(photos) == 100
    for images in (mnist, signs):
        pixels = images.permute(0, 2, 3, 1).squeeze(-1).numpy()
        expected = np.stack([library(one) for one in pixels])
        assert (bits(phash(images.float() / 255)) == expected).all()
    for pixels in photos:
        assert (bits(phash(batch(pixels[None])))[0] == library(pixels)).all()
