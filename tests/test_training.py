"""The loop does what a plain one does; augmentation what a loop over images would."""

from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from ringfence.augment import augment
from ringfence.progress import shown, track
from ringfence.recipe import Recipe
from ringfence.training import fit

RANDOM = torch.Generator().manual_seed(0)
IMAGES = torch.randint(0, 256, (70, 1, 8, 8), dtype=torch.uint8, generator=RANDOM)
LABELS = torch.arange(70) % 4


def model():
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, 4))


def by_hand(net, images, targets, recipe, learning_rates):
    """Train with plain float images, one step after the other."""
    random = torch.Generator().manual_seed(5)
    if recipe.optimizer == "adam":
        optimizer = torch.optim.Adam(net.parameters(), weight_decay=recipe.weight_decay)
    else:
        optimizer = torch.optim.SGD(
            net.parameters(), momentum=recipe.momentum, weight_decay=recipe.weight_decay
        )
    step = 0
    for _ in range(recipe.epochs):
        order = torch.randperm(len(images), generator=random)
        for start in range(0, len(images), recipe.batch_size):
            rows = order[start : start + recipe.batch_size]
            optimizer.param_groups[0]["lr"] = learning_rates[step]
            log_probs = net(images[rows].float() / 255).log_softmax(-1)
            loss = -(targets[rows] * log_probs).sum(-1).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            step += 1
    return net


COSINE = [0.01 * (1 + torch.cos(torch.tensor(torch.pi * s / 6)).item()) / 2 for s in range(6)]


@pytest.mark.parametrize(
    ("recipe", "rates"),
    [
        (Recipe(epochs=2, batch_size=32, lr=0.01), [0.01] * 6),
        (Recipe(epochs=2, batch_size=32, lr=0.01, schedule="cosine"), COSINE),
        (
            Recipe(epochs=2, batch_size=32, lr=0.01, schedule="step", step_epochs=1, gamma=0.5),
            [0.01] * 3 + [0.005] * 3,
        ),
        (
            Recipe(
                epochs=2, batch_size=32, optimizer="sgd", lr=0.1, momentum=0.5, weight_decay=1e-2
            ),
            [0.1] * 6,
        ),
    ],
)
@pytest.mark.parametrize("soft", [False, True])
def test_fit_is_the_plain_loop(recipe, rates, soft):
    one_hot = F.one_hot(LABELS, 4).float()
    targets = (one_hot + 0.2) / 1.8 if soft else one_hot
    fitted = fit(
        model(),
        IMAGES,
        targets if soft else LABELS,
        recipe,
        generator=torch.Generator().manual_seed(5),
    )
    plain = by_hand(model(), IMAGES, targets, recipe, rates)

    for one, other in zip(fitted.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)
    assert not fitted.training


def test_a_soft_label_that_is_all_zero_teaches_nothing():
    before = model()
    after = fit(
        copy.deepcopy(before), IMAGES, torch.zeros(70, 4), Recipe(epochs=1, optimizer="sgd")
    )

    assert all(map(torch.equal, before.parameters(), after.parameters()))


def test_a_last_batch_of_one_image_does_not_stop_batch_normalisation():
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.BatchNorm1d(8), nn.Linear(8, 4))
    fit(net, IMAGES[:33], LABELS[:33], Recipe(epochs=1, batch_size=32))


def test_the_same_generator_gives_the_same_model():
    recipe = Recipe(epochs=2, shift=2, flip=True)
    one, other, third = (
        fit(model(), IMAGES, LABELS, recipe, generator=torch.Generator().manual_seed(seed))
        for seed in (1, 1, 2)
    )

    assert all(map(torch.equal, one.parameters(), other.parameters()))
    assert not all(map(torch.equal, one.parameters(), third.parameters()))


@pytest.mark.parametrize("images", [IMAGES, IMAGES.float() / 255], ids=["uint8", "float"])
def test_every_shifted_image_is_the_original_moved_over_black(images):
    moved = augment(images, Recipe(shift=2), torch.Generator().manual_seed(1))
    padded = F.pad(images, (2, 2, 2, 2))
    seen = set()
    for before, after in zip(padded, moved, strict=True):
        [place] = [
            (y, x)
            for y in range(5)
            for x in range(5)
            if torch.equal(before[:, y : y + 8, x : x + 8], after)
        ]
        seen.add(place)

    assert moved.dtype is images.dtype
    assert len(seen) > 15, "70 images take most of the 25 places"


def test_about_half_of_the_images_are_flipped():
    images = IMAGES.repeat(10, 1, 1, 1)
    flipped = augment(images, Recipe(flip=True), torch.Generator().manual_seed(1))
    turned = (flipped == images.flip(-1)).flatten(1).all(1)
    same = (flipped == images).flatten(1).all(1)

    assert (turned ^ same).all()
    assert 0.4 < turned.double().mean() < 0.6


def test_progress_counts_every_image_once():
    seen = []

    class Bar:
        def __init__(self, name, total):
            seen.append([name, total, 0])

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def __call__(self, images):
            seen[-1][2] += images

    with shown(Bar):
        fit(model(), IMAGES, LABELS, Recipe(epochs=3, batch_size=32), name="victim")
    with track("silent", 1) as advance:
        advance(1)

    assert seen == [["victim", 210, 210]]


def test_an_objective_takes_the_place_of_cross_entropy_and_frozen_weights_stay():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 4), nn.Linear(4, 2))
    model[1].requires_grad_(False)
    frozen, free = model[1].weight.clone(), model[2].weight.clone()
    seen = []

    def objective(model, images, targets):
        seen.append((model.training, images.dtype, targets.tolist()))
        return model(images).square().mean()

    images = torch.randint(0, 256, (8, 1, 4, 4), dtype=torch.uint8)
    fit(model, images, torch.arange(8) % 2, Recipe(epochs=1, batch_size=8), objective=objective)

    assert [(training, dtype) for training, dtype, _ in seen] == [(True, torch.float32)]
    assert sorted(seen[0][2]) == [0] * 4 + [1] * 4
    assert torch.equal(model[1].weight, frozen)
    assert not torch.equal(model[2].weight, free)
