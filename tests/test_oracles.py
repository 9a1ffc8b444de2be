"""Answers may come from elsewhere: then no defender is asked."""

from __future__ import annotations

import torch
from attrs import define
from ringfence_toys.data import ToyMlp

from ringfence import hookimpl
from ringfence.choice import Choice
from ringfence.pipeline import run_experiment
from ringfence.setup import prepare


@define(eq=False)
class Elsewhere:
    """Answers at random, as a server would."""

    def connect(self, serve):
        return self

    def answer(self, images, clients):
        model = ToyMlp().make(4, (1, 8, 8)).eval()
        return model(images.float()).detach().double().softmax(-1)


@define(eq=False)
class Forbidden:
    """A defense whose hooks must not be asked."""

    @hookimpl
    def make_trainer(self, run):
        raise AssertionError("asked")

    @hookimpl
    def make_responder(self, run):
        raise AssertionError("asked")


def test_another_oracle_answers_in_the_victims_place():
    choice = Choice(
        dataset="toy_blobs",
        attack="toy_random_queries",
        defense=("forbidden",),
        oracle="elsewhere",
        budget=100,
    )
    own = {("oracles", "elsewhere"): Elsewhere(), ("defenses", "forbidden"): Forbidden()}
    run, selected = prepare(choice, own)
    torch.manual_seed(0)
    result = run_experiment(run, selected)

    assert result["attack"]["queries"] == 100
    assert result["victim"] == {"accuracy": None, "trainer": None, "report": {}}
    assert result["substitute"]["fidelity"] is None
    assert result["substitute"]["accuracy"] is not None
    assert (result["benign"]["clients"], result["benign"]["queries"]) == (0, 0)
    assert result["evidence"] == []
    assert result["responders"] == {}
