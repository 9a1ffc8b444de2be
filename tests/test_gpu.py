"""The same on a GPU, within a point: training, service, session, whole runs."""

from __future__ import annotations

import pytest
import torch

from ringfence import plugins
from ringfence.choice import Choice
from ringfence.images import as_float
from ringfence.inference import accuracy
from ringfence.pipeline import run_experiment
from ringfence.service import Service
from ringfence.session import Session
from ringfence.setup import prepare
from ringfence.testing import CHECKS, check_model, contracts, tiny_experiment
from ringfence.training import fit

pytestmark = pytest.mark.gpu


def run(device, **given):
    choice = Choice(**{"dataset": "digits", "attack": "knockoffnet", "device": device, **given})
    experiment, selected = prepare(choice)
    return run_experiment(experiment, selected)


def test_training_reaches_the_accuracy_of_the_cpu():
    reached = {}
    for device in ("cpu", "cuda"):
        experiment, _ = prepare(Choice(dataset="digits", device=device))
        torch.manual_seed(0)
        model, data = experiment.new_model(), experiment.train
        generator = experiment.streams.generator("it")
        fit(model, data.images, data.labels, experiment.recipe, generator=generator)
        reached[device] = accuracy(model, experiment.test)

    assert abs(reached["cpu"] - reached["cuda"]) <= 0.01, reached


def test_service_and_session_answer_as_on_the_cpu():
    answers = {}
    weights = tiny_experiment().new_model().state_dict()
    for device in ("cpu", "cuda"):
        experiment = tiny_experiment(device=device)
        model = experiment.new_model()
        model.load_state_dict(weights)
        session = Session(Service(model.eval()), ("a",), 4, (1, 8, 8), 96)
        answers[device] = session.query(as_float(experiment.pool))

    assert answers["cuda"].device.type == "cuda"
    torch.testing.assert_close(answers["cuda"].cpu(), answers["cpu"], atol=1e-5, rtol=0)


@pytest.mark.parametrize("labels", ["soft", "hard"])
def test_a_whole_run_is_within_a_point_of_the_cpu(labels):
    cpu, gpu = (run(device, labels=labels, defense=("deceptive",)) for device in ("cpu", "cuda"))

    assert abs(cpu["victim"]["accuracy"] - gpu["victim"]["accuracy"]) <= 0.01
    assert cpu["benign"]["queries"] == gpu["benign"]["queries"]
    assert cpu["responders"].keys() == gpu["responders"].keys()


def test_the_same_run_twice_is_the_same_result():
    one, other = (run("cuda", budget=500) for _ in range(2))

    assert {**one, "seconds": 0} == {**other, "seconds": 0}


def test_a_device_that_is_not_there_is_refused():
    with pytest.raises(Exception, match="There is no device 'cuda:99' here"):
        run("cuda:99")


OPTIONS = {"ood-make_trainer": {"exposure": 1.0}}  # or it leaves the phase out


@pytest.mark.parametrize("contract", [one for one in contracts() if one.what in CHECKS], ids=str)
def test_a_plugin_keeps_its_promises_there_too(contract):
    options = OPTIONS.get(str(contract), {})
    CHECKS[contract.what](plugins.build(contract.kind, contract.name, options), device="cuda")


@pytest.mark.parametrize("name", ["lenet5", "alexnet", "resnet18"])
def test_a_model_gives_the_same_logits_there(name):
    check_model(plugins.build("models", name), device="cuda")
