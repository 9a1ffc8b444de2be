"""A user's own model and defense, with no packaging."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from attrs import define
from ringfence_toys.data import ToyBlobs
from torch import nn
from walk import reachable

import ringfence
from ringfence import hookimpl, plugins
from ringfence.errors import BadOption
from ringfence.given import fresh_copy
from ringfence.recipe import Recipe
from ringfence.training import fit

QUICK = {"budget": 200, "benign_clients": 2}


@pytest.fixture(scope="module")
def victim():
    data = ToyBlobs().load(None, True)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 4))
    fit(model, data.train.images, data.train.labels, Recipe(epochs=5, lr=1e-2))
    return model, data


@define(eq=False)
class Silence:
    """Tells everybody nothing."""

    @hookimpl
    def make_responder(self, run):
        return self

    def respond(self, queries, probs, verdicts):
        return torch.full_like(probs, 1 / probs.shape[1])


def test_a_defense_lowers_what_the_worst_attack_gets(victim):
    model, data = victim
    plain = ringfence.evaluate(model, data, attacks=["toy_random_queries"], **QUICK)
    guarded = ringfence.evaluate(
        model, data, defense=Silence(), attacks=["toy_random_queries"], **QUICK
    )

    assert plain.accuracy > 0.8 > 0.5 > guarded.accuracy
    assert guarded.worst == "toy_random_queries"
    assert guarded.results["toy_random_queries"]["benign"]["changed"] > 0.5
    assert "worst case: toy_random_queries" in str(guarded)


def test_the_victim_is_the_users_own_and_is_left_alone(victim):
    model, data = victim
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    result = ringfence.evaluate(model, data, attacks=["toy_random_queries"], **QUICK)
    [one] = result.results.values()
    right = (model(data.test.images).argmax(-1) == data.test.labels).double().mean().item()

    assert one["victim"]["accuracy"] == pytest.approx(right)
    assert one["run"]["marks"] == ["given_victim"]
    assert all(torch.equal(before[n], weight) for n, weight in model.state_dict().items())


def test_a_trainer_is_not_asked_and_a_verifier_gets_controls(victim):
    model, data = victim
    from ringfence_toys.watermark import ToyWatermark

    result = ringfence.evaluate(
        model, data, defense=ToyWatermark(rate=0.3), attacks=["toy_random_queries"], **QUICK
    )
    [one] = result.results.values()

    assert len(one["evidence"]) == 4
    assert one["responders"]["toywatermark"]["changed"] > 0.1


def test_the_worst_case_is_the_strongest_of_several_attacks(victim):
    model, data = victim
    options = {"knockoffnet": {"epochs": 1, "lr": 1e-6}}
    result = ringfence.evaluate(
        model,
        data,
        attacks=["knockoffnet", "toy_random_queries"],
        substitute=lambda: nn.Sequential(nn.Flatten(), nn.Linear(64, 4)),
        options=options,
        **QUICK,
    )

    assert result.worst == "toy_random_queries"
    assert result.accuracy == max(r["substitute"]["accuracy"] for r in result.results.values())


def test_a_named_data_set_and_a_named_substitute_will_do(victim):
    model, _ = victim
    result = ringfence.evaluate(
        model, "toy_blobs", substitute="toy_mlp", attacks=["toy_random_queries"], **QUICK
    )

    assert result.results["toy_random_queries"]["run"]["substitute"] == "toy_mlp"


@define(eq=False)
class Walker:
    """An attack that looks for the victim's weights wherever its view leads."""

    weights: set

    @hookimpl
    def make_attack(self, run):
        found = {t.data_ptr() for t in reachable(run) if torch.is_tensor(t)}

        assert not found & self.weights, "the attacker's view leads to the victim"
        return self

    def extract(self, oracle):
        return nn.Sequential(nn.Flatten(), nn.Linear(64, 4))


def test_the_attackers_view_does_not_lead_to_the_users_model(victim, monkeypatch):
    model, data = victim
    walker = Walker({w.data_ptr() for w in model.parameters()})
    build = plugins.build

    def with_walker(kind, name, given=None):
        return walker if name == "walk" else build(kind, name, given)

    monkeypatch.setattr(plugins, "build", with_walker)
    ringfence.evaluate(model, data, defense=Silence(), attacks=["walk"], **QUICK)


def test_a_fresh_copy_has_other_weights(victim):
    model, _ = victim
    copied = fresh_copy(model)

    both = zip(model.parameters(), copied.parameters(), strict=True)
    assert all(not torch.equal(one, other) for one, other in both)


class Own(nn.Module):
    """Has weights of its own that it cannot draw anew."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(4))


def test_weights_that_cannot_be_drawn_anew_are_told_by_name():
    with pytest.raises(BadOption, match=r"Module '1' \(Own\) has weights"):
        fresh_copy(nn.Sequential(nn.Linear(2, 2), Own()))


def test_a_defense_without_hookimpl_is_refused(victim):
    @define(eq=False)
    class Forgotten:
        def make_responder(self, run):
            return self

    model, data = victim
    with pytest.raises(ringfence.RingfenceError, match="Is @hookimpl missing"):
        ringfence.evaluate(model, data, defense=Forgotten())
    with pytest.raises(ringfence.RingfenceError, match="attrs class"):
        ringfence.evaluate(model, data, defense=object())
    with pytest.raises(BadOption, match="sets dataset itself"):
        ringfence.evaluate(model, data, dataset="digits")


def test_an_unknown_argument_is_told_with_the_nearest(victim):
    model, data = victim
    with pytest.raises(ringfence.RingfenceError, match="Did you mean 'budget'"):
        ringfence.evaluate(model, data, bugdet=3)


def test_importing_evaluate_is_what_imports_torch():
    code = "import sys, ringfence; a = 'torch' in sys.modules; ringfence.evaluate; "
    code += "print(a, 'torch' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert out.stdout.strip() == "False True"
