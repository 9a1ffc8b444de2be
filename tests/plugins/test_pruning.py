"""Which weights are pruned, against a plain reference, and what it costs."""

from __future__ import annotations

import math
from copy import deepcopy
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from plugins.thefts import ADAM, finished, guarded
from torch import nn

from ringfence import plugins
from ringfence.errors import BadOption, UnknownName
from ringfence.inference import accuracy
from ringfence.testing import check_recovery, tiny_experiment
from ringfence_pruning import Pruning
from ringfence_pruning.prune import prune

hundredths = st.integers(0, 100).map(lambda n: n / 100)


def net(seed, *, ties):
    torch.manual_seed(seed)
    made = nn.Sequential(
        nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.Flatten(), nn.Linear(108, 5)
    )
    if ties:  # most weights are one of a few values, zero among them
        with torch.no_grad():
            for weight in made.parameters():
                weight.copy_((weight * 10).round() / 10)
    return made


def zeroed(weights, rate):
    """Set the smallest of one flat float64 array to zero; of equals the first."""
    order = sorted(range(len(weights)), key=lambda place: abs(weights[place]))
    pruned = weights.copy()
    pruned[order[: math.floor(Fraction(str(rate)) * len(weights))]] = 0
    return pruned


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 99), st.booleans(), hundredths, st.sampled_from(["layer", "global"]))
def test_the_smallest_weights_become_zero_and_nothing_else_changes(seed, ties, rate, scope):
    model = net(seed, ties=ties)
    before = deepcopy(model.state_dict())
    names = ["0.weight", "4.weight"]
    flat = {name: before[name].double().numpy().ravel() for name in names}
    if scope == "layer":
        expected = {name: zeroed(flat[name], rate) for name in names}
    else:
        joined = zeroed(np.concatenate([flat[name] for name in names]), rate)
        expected = dict(zip(names, np.split(joined, [27]), strict=True))

    pruned, weights = prune(model, rate, scope)

    assert weights == 27 + 540
    sizes = (27, 540) if scope == "layer" else (567,)
    assert pruned == sum(math.floor(Fraction(str(rate)) * size) for size in sizes)
    for name, after in model.state_dict().items():
        wanted = (
            torch.from_numpy(expected[name]).view(after.shape) if name in names else before[name]
        )
        assert torch.equal(after.double(), wanted.double()), name


@pytest.mark.parametrize(("rate", "zeros"), [(0.29, 29), (0.3, 30), (0.57, 57), (1.0, 100)])
def test_the_rate_is_taken_as_it_is_typed(rate, zeros):
    layer = nn.Linear(100, 1)

    prune(layer, rate, "layer")

    assert int((layer.weight == 0).sum()) == zeros  # 0.29 * 100 is 28.999999999999996


def test_equal_weights_are_pruned_in_their_number_not_all_or_none():
    layer = nn.Linear(10, 1)
    nn.init.constant_(layer.weight, 0.5)

    prune(layer, 0.35, "layer")

    assert layer.weight.flatten().tolist() == [0.0] * 3 + [0.5] * 7


def test_weights_in_another_memory_order_are_pruned_alike():
    plain = net(0, ties=True)
    other = deepcopy(plain).to(memory_format=torch.channels_last)
    for model in (plain, other):
        prune(model, 0.5, "global")

    assert torch.equal(plain[0].weight, other[0].weight)


def test_the_substitute_is_pruned_at_the_end_and_queries_are_left_alone():
    run = tiny_experiment()
    recovery = Pruning(rate=0.25).make_recovery(run.for_attack("it"))
    oracle, substitute = object(), run.new_substitute()

    assert recovery.wrap(oracle) is oracle
    assert recovery.finish(substitute) is substitute
    assert int((substitute[1].weight == 0).sum()) == 64
    assert recovery.report() == {"pruned": 64, "weights": 256}


def test_a_model_without_such_layers_is_left_alone():
    assert prune(nn.Flatten(), 0.5, "global") == prune(nn.Flatten(), 0.5, "layer") == (0, 0)


@pytest.mark.parametrize("options", [{}, {"scope": "global", "rate": 1.0}], ids=str)
def test_it_keeps_the_contract_of_recoveries(options):
    check_recovery(Pruning(**options))


@pytest.mark.parametrize(
    ("option", "value", "error"),
    [("rate", -0.1, BadOption), ("rate", 1.1, BadOption), ("scope", "row", UnknownName)],
)
def test_an_option_without_meaning_is_refused(option, value, error):
    with pytest.raises(error, match=f"pruning.{option}"):
        plugins.build("attacks", "pruning", {option: value})


@pytest.mark.slow
def test_three_tenths_cost_little_and_nine_tenths_nearly_everything(tmp_path):
    """What AMAO's Figure 9 and Uchida et al. show of accuracy under pruning, on digits."""
    run, selected, guard = guarded(tmp_path, options={"knockoffnet": {**ADAM, "epochs": 15}})
    rates = {str(rate): ("pruning", {"rate": rate}) for rate in (0.3, 0.9)}

    substitute, pruned = finished(run, selected["knockoffnet"], guard, rates)

    whole = accuracy(substitute, run.test)
    assert whole > 0.6
    assert accuracy(pruned["0.3"], run.test) > whole - 0.04
    assert accuracy(pruned["0.9"], run.test) < whole - 0.2
