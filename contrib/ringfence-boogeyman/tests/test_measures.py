"""Metrics and models, by hand."""

from __future__ import annotations

import pytest
import torch
from attrs import evolve
from ringfence_boogeyman.msp import Msp
from ringfence_boogeyman.onehalf import OneHalf
from ringfence_boogeyman.operating import operating
from ringfence_boogeyman.outliers import held_out
from ringfence_boogeyman.perclass import perclass
from ringfence_boogeyman.upscaled import Upscaled

from ringfence.images import as_float
from ringfence.inference import logits, predict
from ringfence.pipeline import run_experiment
from ringfence.plugins import build
from ringfence.testing import tiny_experiment


def finished(metric, **selected):
    """Return a metric's figures of a tiny run, and the run as the metric saw it."""
    seen = []

    def watched(done):
        seen.append(done)
        return metric(done)

    run = evolve(tiny_experiment(), metrics={"figures": watched})
    result = run_experiment(run, {**selected, "knockoffnet": build("attacks", "knockoffnet")})
    return result["metrics"]["figures"], seen[0]


def test_operating_points_are_those_counted_by_hand():
    found, done = finished(operating, msp=Msp(), onehalf=OneHalf())
    score, flagged, _ = done.record.verdicts("msp")
    ours = done.record.verdicts("onehalf")[1]
    benign = score[done.benign].sort().values

    assert found["onehalf"]["tnr"] == (~ours[done.benign]).double().mean().item()
    assert found["msp"]["unseen"]["own"] == flagged[done.attacker].double().mean().item()
    allowed = int(0.05 * len(benign) + 1e-9)
    above = (score[done.attacker] > benign[len(benign) - 1 - allowed]).double().mean().item()
    assert found["msp"]["unseen"]["at_95"] == above
    allowed = round((1 - found["onehalf"]["tnr"]) * len(benign))
    if allowed < len(benign):
        above = (score[done.attacker] > benign[len(benign) - 1 - allowed]).double().mean().item()
        assert found["msp"]["unseen"]["at_onehalf"] == above
    images = held_out(done.run.outliers)
    sure = logits(done.guard.victim.model, images).double().softmax(-1).amax(-1)
    threshold = done.guard.service.detectors["msp"].threshold
    assert found["msp"]["seen"]["own"] == (-sure >= threshold).double().mean().item()


def test_a_detector_of_others_has_no_outliers_held_out():
    found, _ = finished(operating, ood=build("defenses", "ood", {"threshold": 0.3}))

    assert found["ood"]["seen"] is None
    assert found["ood"]["unseen"]["at_onehalf"] is None
    assert 0 <= found["ood"]["unseen"]["at_95"] <= 1


def test_classes_are_counted_and_judged_one_by_one():
    found, done = finished(perclass)
    victim, substitute, test = done.guard.victim.model, done.theft.substitute, done.run.test

    assert found["pool"] == [
        int((predict(victim, done.run.pool) == label).sum()) for label in range(4)
    ]
    for name, model in (("victim", victim), ("substitute", substitute)):
        right = predict(model, test.images) == test.labels
        wanted = [right[test.labels == label].float().mean().item() for label in range(4)]
        assert found[name] == pytest.approx(wanted)


def test_a_class_without_test_images_has_no_accuracy():
    seen = {}
    run = tiny_experiment()
    test = run.test.rows((run.test.labels != 2).nonzero().flatten())
    run = evolve(run, test=test, metrics={"it": lambda done: seen.setdefault("it", perclass(done))})
    run_experiment(run, {"knockoffnet": build("attacks", "knockoffnet")})

    assert seen["it"]["victim"][2] is None
    assert seen["it"]["victim"][1] is not None


def test_what_is_upscaled_sees_the_image_at_its_own_size():
    torch.manual_seed(0)
    model = Upscaled("squeezenet1_1", size=48).make(5, (1, 16, 16)).eval()
    images = as_float(torch.randint(0, 256, (2, 1, 16, 16), dtype=torch.uint8))
    large = torch.nn.functional.interpolate(
        images.expand(-1, 3, -1, -1), size=48, mode="bilinear", antialias=True
    )

    assert torch.allclose(model(images), model.net(large), atol=1e-6)
    assert model(images).shape == (2, 5)


def test_what_is_upscaled_takes_the_weights_of_the_large_network(tmp_path):
    other = build("models", "torchvision", {"name": "resnet18"}).make(1000, (3, 224, 224))
    torch.save(other.net.state_dict(), tmp_path / "weights.pth")
    model = build("models", "upscaled:resnet18", {"pretrained": str(tmp_path / "weights.pth")})
    made = model.make(43, (3, 32, 32))

    assert torch.equal(made.net.net.conv1.weight, other.net.conv1.weight)
    assert made.net.net.fc.out_features == 43


def test_victims_and_substitutes_are_trained_as_the_paper_says():
    recipe = Upscaled.recipe

    assert (recipe.optimizer, recipe.lr, recipe.batch_size, recipe.epochs) == ("sgd", 0.1, 64, 200)
    assert (recipe.schedule, recipe.step_epochs, recipe.gamma) == ("step", 60, 0.1)
