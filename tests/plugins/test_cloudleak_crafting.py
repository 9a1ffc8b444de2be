"""FeatureFool: the objective by hand in float64, the box, and both solvers on the same pairs."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from ringfence_cloudleak import CloudLeak
from ringfence_cloudleak.crafting import Bank
from ringfence_cloudleak.featurefool import FAINT, Objective, Pairs, margins
from ringfence_cloudleak.pairing import least_sure, pairs, repeated
from ringfence_cloudleak.solvers import gradient, lbfgs

SOLVERS = {"gradient": gradient, "lbfgs": lbfgs}


def network(seed=0, width=12):
    """Return a small network in float64, whose features can be computed by hand."""
    torch.manual_seed(seed)
    layers = (nn.Flatten(), nn.Linear(36, width), nn.ReLU(), nn.Linear(width, 4))
    return nn.Sequential(*layers).double().eval()


def by_hand(model, images, *, normalised):
    """Return features ``(N, D)`` without PyTorch."""
    weight, bias = (p.detach().numpy() for p in model[1].parameters())
    found = np.maximum(images.reshape(len(images), -1) @ weight.T + bias, 0)
    if normalised:
        found = found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), FAINT)
    return found


def drawn(seed, size):
    random = torch.Generator().manual_seed(seed)
    return torch.rand(size, 1, 6, 6, generator=random, dtype=torch.float64)


def some_pairs(objective, size=12, seed=1):
    sources, guides = drawn(seed, size), drawn(seed + 100, size)
    limits = torch.linspace(0.1, 0.5, size, dtype=torch.float64)
    with torch.no_grad():
        return Pairs(sources, objective.features(sources), objective.features(guides), limits)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 999), st.booleans(), st.floats(0, 1), st.floats(-1, 1))
def test_the_objective_is_the_one_by_hand(seed, normalised, mu, margin):
    model = network(seed)
    x, s, g = (drawn(seed + n, 5) for n in (1, 2, 3))
    if seed % 2:
        x = x.clone()
        x[0] = -9.0  # every unit is silent, or nearly: features of length 0
    objective = Objective(model, mu, None, normalised)
    with torch.no_grad():
        toward, away = objective.features(g), objective.features(s)
        known = Pairs(s, away, toward, torch.full((5,), margin, dtype=torch.float64))
        hinge, loss = objective.hinge(x, known), objective.loss(x, known)

    features = [by_hand(model, one.numpy(), normalised=normalised) for one in (x, s, g)]
    near, far = (((features[0] - other) ** 2).sum(1) for other in (features[2], features[1]))
    wanted = np.maximum(near - far + margin, 0)
    moved = ((x - s).numpy() ** 2).sum((1, 2, 3))
    np.testing.assert_allclose(hinge, wanted, atol=1e-9)
    np.testing.assert_allclose(loss, wanted + mu * moved, atol=1e-9)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.integers(0, 3), min_size=1, max_size=12), st.integers(0, 999), st.floats(-2, 2))
def test_the_margin_is_alpha_less_the_mean_distance_within_the_class(classes, seed, alpha):
    random = np.random.default_rng(seed)
    found = random.normal(size=(len(classes), 3))
    given_margins = margins(torch.from_numpy(found), torch.tensor(classes), alpha)

    for label in set(classes):
        own = [row for row, one in zip(found, classes, strict=True) if one == label]
        apart = [
            ((a - b) ** 2).sum() for i, a in enumerate(own) for j, b in enumerate(own) if i != j
        ]
        wanted = alpha - (sum(apart) / len(apart) if apart else 0)
        assert given_margins[label].item() == pytest.approx(wanted, abs=1e-9)


def test_the_slope_is_that_of_the_loss_and_touches_no_weight():
    model = network()
    objective = Objective(model, 0.01, None, True)
    known = some_pairs(objective)
    images = drawn(7, len(known))

    loss, slope = objective.slope(images, known)

    step = torch.zeros_like(images)
    step[:, 0, 2, 3] = 1e-6
    with torch.no_grad():
        rise = objective.loss(images + step, known) - objective.loss(images - step, known)
        torch.testing.assert_close(loss, objective.loss(images, known))
    torch.testing.assert_close(slope[:, 0, 2, 3], rise / 2e-6, atol=1e-6, rtol=1e-4)
    assert all(weight.grad is None for weight in model.parameters())


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("eps", [None, 0.05])
def test_images_stay_in_the_box_and_get_better(solver, eps):
    objective = Objective(network(), 1e-3, eps, True)
    known = some_pairs(objective)
    before = known.sources.clone()

    made = SOLVERS[solver](objective, known, 15)

    assert made.min() >= 0
    assert made.max() <= 1
    assert (made - known.sources).abs().max() <= (eps or 1) + 1e-7
    with torch.no_grad():
        start, end = objective.loss(known.sources, known), objective.loss(made, known)
    assert (end <= start).all()
    assert end.mean() < start.mean() - 0.02
    assert torch.equal(known.sources, before), "the seeds are left alone"


@pytest.mark.parametrize(
    ("mu", "eps", "normalised"),
    [
        *[(mu, None, True) for mu in (1e-4, 1e-3, 1e-2)],
        (1e-3, 0.2, True),
        (1e-3, None, False),
        (1e-2, 0.2, False),
    ],
)
def test_the_batched_solver_gets_at_least_nearly_as_low_as_l_bfgs_b(mu, eps, normalised):
    objective = Objective(network(width=24), mu, eps, normalised)
    known = some_pairs(objective)

    ours, theirs = (solver(objective, known, 20) for solver in (gradient, lbfgs))

    with torch.no_grad():
        start, ours, theirs = (objective.loss(x, known) for x in (known.sources, ours, theirs))
    assert theirs.mean() < start.mean() * 0.5, "or the reference is none"
    assert ours.mean() <= theirs.mean() * 1.02 + 1e-4
    assert (ours <= theirs + 0.05 * start.mean()).all(), "no pair is left behind"


def test_a_pair_is_solved_alike_alone_and_among_others():
    objective = Objective(network(), 1e-3, None, True)
    known = some_pairs(objective)

    together = gradient(objective, known, 10)

    alone = [gradient(objective, known.rows(slice(n, n + 1)), 10) for n in range(len(known))]
    torch.testing.assert_close(together, torch.cat(alone), atol=1e-7, rtol=0)


def test_a_pair_whose_hinge_is_zero_at_the_start_stays_its_source():
    objective = Objective(network(), 1e-3, None, True)
    known = some_pairs(objective)
    known = Pairs(known.sources, known.away, known.toward, torch.full_like(known.margins, -9.0))

    for solver in SOLVERS.values():
        assert torch.equal(solver(objective, known, 5), known.sources)


def test_the_crafter_takes_guides_by_row_and_margins_by_the_guides_class():
    model = network().float()
    seeds = Bank((drawn(3, 6) * 255).to(torch.uint8), torch.tensor([0, 0, 0, 1, 1, 3]))
    rows = torch.tensor([[0, 3], [5, 1], [2, 5], [4, 0]])
    plugin = CloudLeak(steps=3, craft_batch=3)

    made, zero = plugin.crafter.craft(model, seeds, seeds, rows)

    objective = Objective(model, plugin.mu, None, True)
    floats = seeds.images.float() / 255
    with torch.no_grad():
        found = objective.features(floats)
    limits = margins(found, seeds.classes, 0.5)[seeds.classes[rows[:, 1]]]
    known = Pairs(floats[rows[:, 0]], found[rows[:, 0]], found[rows[:, 1]], limits)
    torch.testing.assert_close(made, gradient(objective, known, 3), atol=1e-5, rtol=0)
    with torch.no_grad():
        assert torch.equal(zero, objective.hinge(made, known) <= 1e-3)
    assert len(set(limits.tolist())) == 3, "of the lone class 3: alpha"
    assert limits[2] == 0.5


def stream(seed=0):
    return torch.Generator().manual_seed(seed)


@settings(deadline=None)
@given(
    st.lists(st.integers(0, 3), min_size=1, max_size=9),
    st.lists(st.integers(0, 3), min_size=1, max_size=9),
    st.integers(0, 120),
    st.integers(0, 99),
)
def test_sources_take_turns_and_meet_every_guide_before_any_again(ours, theirs, count, seed):
    allowed = torch.tensor(ours)[:, None] != torch.tensor(theirs)
    chosen = pairs(allowed, count, stream(seed))

    usable = [row for row in range(len(ours)) if allowed[row].any()]
    assert chosen.shape == (count if usable else 0, 2)
    assert all(allowed[source, guide] for source, guide in chosen.tolist())
    assert chosen[:, 0].tolist() == [usable[n % len(usable)] for n in range(len(chosen))]
    for source in usable:
        own = chosen[chosen[:, 0] == source][:, 1].tolist()
        number = int(allowed[source].sum())
        for start in range(0, len(own), number):
            turn = own[start : start + number]
            assert len(set(turn)) == len(turn)
    assert repeated(chosen) == len(chosen) - len(set(map(tuple, chosen.tolist())))


def test_a_hundred_seeds_with_ninety_others_each_make_nine_thousand_pairs():
    classes = torch.arange(100) % 10
    allowed = classes[:, None] != classes
    chosen = pairs(allowed, 9000, stream())

    assert repeated(chosen) == 0
    assert repeated(pairs(allowed, 9900, stream())) == 900
    assert not torch.equal(chosen, pairs(allowed, 9000, stream(1)))


@settings(deadline=None)
@given(st.integers(1, 20), st.integers(1, 5), st.integers(0, 25), st.integers(0, 99))
def test_the_least_sure_rows_are_those_found_by_hand(size, classes, count, seed):
    probs = torch.rand(size, classes, generator=stream(seed), dtype=torch.float64).softmax(-1)
    table = np.sort(probs.numpy(), 1)[:, ::-1]
    sure = {"confidence": table[:, 0], "margin": table[:, 0] - table[:, min(1, classes - 1)]}

    for by, scores in sure.items():
        wanted = sorted(np.argsort(scores, kind="stable")[:count])
        assert least_sure(probs, count, by).tolist() == wanted
    assert least_sure(probs, count, "random").tolist() == list(range(min(count, size)))
