"""Gradient attacks against plain float64 ones, and what they must leave alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from ringfence.adversarial import fgsm, fgsm_random_targets, pgd

CLASSES, PIXELS, SHAPE = 5, 12, (1, 3, 4)
seeds = st.integers(0, 2**32 - 1)
pixels = st.floats(0.01, 1)
counts = st.integers(1, 5)


def stream(seed=0):
    return torch.Generator().manual_seed(seed)


def make_model(seed=0):
    """Return a network of one hidden layer, in float64."""
    random = stream(seed)
    model = nn.Sequential(
        nn.Flatten(), nn.Linear(PIXELS, 16), nn.ReLU(), nn.Linear(16, CLASSES)
    ).double()
    with torch.no_grad():
        for weight in model.parameters():
            weight.copy_(torch.randn(weight.shape, generator=random) / 2)
    return model


def some_images(seed=0, count=7):
    """Return images, some of whose pixels lie on the edges of the box."""
    images = torch.rand(count, *SHAPE, generator=stream(seed), dtype=torch.float64)
    return (images * 1.4 - 0.2).clamp(0, 1)


def some_labels(seed=0, count=7):
    return torch.randint(CLASSES, (count,), generator=stream(seed))


def forward(model, x):
    """Return hidden activations and probabilities for ``x`` ``(N, PIXELS)``."""
    w1, b1, w2, b2 = (weight.detach().numpy() for weight in model.parameters())
    hidden = np.maximum(x @ w1.T + b1, 0)
    odds = np.exp(hidden @ w2.T + b2)
    return hidden, odds / odds.sum(1, keepdims=True)


def gradient(model, x, labels):
    """Return the gradient of the cross-entropy with respect to ``x``, by hand."""
    w1, _, w2, _ = (weight.detach().numpy() for weight in model.parameters())
    hidden, probs = forward(model, x)
    error = probs - np.eye(CLASSES)[labels]
    return ((error @ w2) * (hidden > 0)) @ w1


def walked(model, images, eps, steps, start, direction):
    """Walk with sign steps, one image after the other; ``direction(x, row)`` is the step."""
    ends = []
    for row, image in enumerate(images.flatten(1).numpy()):
        x = start[row]
        for number in range(steps):
            x = np.clip(x + direction(x, row, number), image - eps, image + eps)
            x = np.clip(x, 0, 1)
        ends.append(x)
    return torch.from_numpy(np.array(ends)).view_as(images)


@settings(deadline=None, max_examples=60)
@given(seeds, pixels, pixels, counts, st.booleans(), st.booleans())
def test_pgd_is_the_one_done_by_hand(seed, eps, step, steps, toward, random_start):
    model, images, labels = make_model(seed), some_images(seed), some_labels(seed)
    start = images
    if random_start:
        noise = torch.empty_like(images).uniform_(-eps, eps, generator=stream(1))
        start = (images + noise).clamp(0, 1)

    def direction(x, row, number):
        sign = np.sign(gradient(model, x[None], labels[row : row + 1].numpy()))[0]
        return -step * sign if toward else step * sign

    expected = walked(model, images, eps, steps, start.flatten(1).numpy(), direction)

    generator = stream(1) if random_start else None
    actual = pgd(
        model, images, labels, eps, step=step, steps=steps, toward=toward, generator=generator
    )

    torch.testing.assert_close(actual, expected, rtol=0, atol=1e-12)


@settings(deadline=None, max_examples=60)
@given(seeds, pixels, pixels, counts, st.booleans())
def test_random_targets_are_the_ones_done_by_hand(seed, eps, step, steps, any_class):
    model, images = make_model(seed), some_images(seed)
    random = stream(2)
    draws = [torch.randint(int(not any_class), CLASSES, (7,), generator=random).numpy()]
    draws += [
        torch.randint(int(not any_class), CLASSES, (7,), generator=random).numpy()
        for _ in range(steps - 1)
    ]

    def direction(x, row, number):
        target = draws[number][row]
        if not any_class:
            predicted = forward(model, x[None])[1].argmax()
            target = (predicted + target) % CLASSES
            assert target != predicted
        return -step * np.sign(gradient(model, x[None], [target]))[0]

    expected = walked(model, images, eps, steps, images.flatten(1).numpy(), direction)

    actual = fgsm_random_targets(
        model, images, eps, step=step, steps=steps, generator=stream(2), any_class=any_class
    )

    torch.testing.assert_close(actual, expected, rtol=0, atol=1e-12)


@settings(deadline=None, max_examples=30)
@given(seeds, pixels, pixels, st.booleans())
def test_fgsm_is_one_step_of_pgd(seed, eps, step, toward):
    model, images, labels = make_model(seed), some_images(seed), some_labels(seed)
    plain = fgsm(model, images, labels, eps, toward=toward)
    started = fgsm(model, images, labels, eps, step=step, toward=toward, generator=stream())

    one = {"steps": 1, "toward": toward}
    assert torch.equal(plain, pgd(model, images, labels, eps, step=eps, **one))
    one["generator"] = stream()
    assert torch.equal(started, pgd(model, images, labels, eps, step=step, **one))


ATTACKS = {
    "fgsm": lambda m, x, y, eps, step: fgsm(m, x, y, eps, toward=True),
    "fgsm, random start": lambda m, x, y, eps, step: fgsm(
        m, x, y, eps, step=step, generator=stream()
    ),
    "pgd": lambda m, x, y, eps, step: pgd(m, x, y, eps, step=step, steps=3),
    "pgd, random start": lambda m, x, y, eps, step: pgd(
        m, x, y, eps, step=step, steps=3, generator=stream()
    ),
    "random targets": lambda m, x, y, eps, step: fgsm_random_targets(
        m, x, eps, step=step, steps=3, generator=stream()
    ),
}
each_attack = pytest.mark.parametrize("attack", ATTACKS.values(), ids=list(ATTACKS))


@each_attack
@settings(deadline=None, max_examples=40)
@given(seed=seeds, eps=pixels, step=pixels)
def test_ball_and_box_are_kept_in_float32(attack, seed, eps, step):
    model, images = make_model(seed).float(), some_images(seed).float()

    moved = attack(model, images, some_labels(seed), eps, step)

    assert moved.dtype is torch.float32
    assert moved.shape == images.shape
    assert bool(((moved >= 0) & (moved <= 1)).all())
    assert (moved - images).abs().max() <= eps + 1e-6
    assert not torch.equal(moved, images)


@each_attack
@pytest.mark.parametrize("train", [True, False])
def test_nothing_but_the_result_is_left_behind(attack, train):
    model = nn.Sequential(nn.BatchNorm2d(1).double(), make_model()).train(train)
    for weight in model.parameters():
        weight.grad = torch.ones_like(weight)
    weights = [weight.clone() for weight in model.parameters()]
    statistics, state = model[0].running_mean.clone(), torch.get_rng_state()
    images, before = some_images(), some_images()

    with torch.no_grad():
        moved = attack(model, images, some_labels(), 0.3, 0.2)

    assert torch.equal(images, before)
    assert not images.requires_grad
    assert not moved.requires_grad
    assert [module.training for module in model.modules()] == [train] * 7
    for weight, kept in zip(model.parameters(), weights, strict=True):
        assert weight.requires_grad
        assert torch.equal(weight, kept)
        assert torch.equal(weight.grad, torch.ones_like(weight))
    assert torch.equal(model[0].running_mean, statistics) is not train
    assert torch.equal(torch.get_rng_state(), state)


def test_no_gradient_of_a_weight_is_computed():
    model, asked = make_model(), []
    model[1].weight.register_hook(lambda gradient: asked.append(gradient))

    pgd(model, some_images(), some_labels(), 0.3, step=0.1, steps=2)

    assert asked == []


@each_attack
def test_no_images_make_no_images(attack):
    assert attack(make_model(), some_images()[:0], some_labels()[:0], 0.3, 0.1).shape == (0, *SHAPE)


def test_an_image_walks_alone():
    model, images, labels = make_model(), some_images(), some_labels()

    together = pgd(model, images, labels, 0.3, step=0.1, steps=4)
    alone = [
        pgd(model, *one, 0.3, step=0.1, steps=4)
        for one in zip(images.split(1), labels.split(1), strict=True)
    ]

    torch.testing.assert_close(torch.cat(alone), together, rtol=0, atol=1e-12)


def test_a_certain_answer_still_has_a_gradient():
    model = nn.Sequential(nn.Flatten(), nn.Linear(PIXELS, 2, bias=False))
    with torch.no_grad():
        model[1].weight.copy_(torch.tensor([[5.0], [-5.0]]).expand(2, PIXELS))
    images = torch.full((1, *SHAPE), 0.25)  # logits 15 and -15
    assert model(images).softmax(-1)[0, 0] == 1

    for toward, wanted in ((True, 0.35), (False, 0.15)):
        moved = fgsm(model, images, torch.tensor([0]), 0.1, toward=toward)

        torch.testing.assert_close(moved, torch.full_like(images, wanted))


def test_pgd_makes_labels_wrong():
    model, images = make_model(), some_images(count=200)
    labels = model(images).argmax(-1)

    moved = pgd(model, images, labels, 0.2, step=0.05, steps=10)

    wrong = (model(moved).argmax(-1) != labels).double().mean()
    noise = (images + 0.2 * torch.randn(images.shape, generator=stream()).sign()).clamp(0, 1)
    assert wrong > 2 * (model(noise).argmax(-1) != labels).double().mean()
    assert wrong > 0.5


@pytest.mark.gpu
@each_attack
def test_nothing_waits_for_the_gpu(attack, monkeypatch):
    monkeypatch.setitem(globals(), "stream", lambda: torch.Generator("cuda").manual_seed(0))
    model = make_model_on("cuda")
    images, labels = torch.rand(7, *SHAPE, device="cuda"), torch.zeros(7, device="cuda").long()
    torch.cuda.synchronize()

    torch.cuda.set_sync_debug_mode("error")
    try:
        moved = attack(model, images, labels, 0.3, 0.1)
    finally:
        torch.cuda.set_sync_debug_mode("default")

    assert (moved - images).abs().max() <= 0.3 + 1e-6


def make_model_on(device):
    return nn.Sequential(nn.Flatten(), nn.Linear(PIXELS, CLASSES)).to(device)
