"""A model is found again only if all that made it is as it was."""

from __future__ import annotations

import importlib
import sys

import pytest
import torch
from attrs import evolve
from ringfence_toys.defenses import ToyTrainer

from ringfence import provenance
from ringfence.errors import BrokenPlugin
from ringfence.recipe import Recipe
from ringfence.testing import tiny_experiment


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Write a plugin package, and import it."""
    (tmp_path / "someones").mkdir()
    (tmp_path / "someones" / "part.py").write_text("FACTOR = 1\n")
    (tmp_path / "someones" / "__init__.py").write_text(
        "from attrs import define\n@define(eq=False)\nclass It:\n    weights: str = ''\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    yield importlib.import_module("someones"), tmp_path / "someones"
    del sys.modules["someones"]
    provenance._source.cache_clear()


def test_an_edited_package_makes_another_plugin(package):
    module, folder = package
    before = provenance.identify(module.It())
    (folder / "part.py").write_text("FACTOR = 2\n")
    provenance._source.cache_clear()  # another process

    assert provenance.identify(module.It()) != before


def test_a_file_that_an_option_names_counts_by_its_content(package, tmp_path):
    module, _ = package
    file = tmp_path / "weights"
    file.write_text("one")
    before = provenance.identify(module.It(str(file)))
    file.write_text("two")

    assert provenance.identify(module.It(str(file))) != before
    assert provenance.identify(module.It("no file")) != before


CHANGES = {
    "seed": {"seed": 1},
    "threads": {"threads": 7},
    "recipe": {"recipe": Recipe(epochs=3)},
    "train": {"train": evolve(tiny_experiment().train, labels=torch.zeros(96, dtype=torch.int64))},
    "given": {"given": torch.nn.Linear(1, 1)},
}


@pytest.mark.parametrize("change", CHANGES)
def test_the_key_of_a_victim_changes_with(change):
    assert (
        evolve(tiny_experiment(), **CHANGES[change]).victim_key() != tiny_experiment().victim_key()
    )


def test_the_key_of_a_victim_does_not_change_with_what_it_never_sees():
    others = {"budget": 9, "labels": "hard", "benign_clients": 7, "pool": torch.zeros(1, 1, 8, 8)}

    assert evolve(tiny_experiment(), **others).victim_key() == tiny_experiment().victim_key()


def test_the_key_of_a_victim_changes_with_its_trainer():
    one, other = (provenance.identify(ToyTrainer(epochs=n)) for n in (1, 2))
    experiment = tiny_experiment()

    assert experiment.victim_key(one) != experiment.victim_key(other)


def test_only_options_that_train_make_another_victim():
    class Two(ToyTrainer):
        trained_by = ("epochs",)

    usual, longer = (provenance.identify_trainer(Two(epochs=n)) for n in (1, 2))

    assert usual != longer
    assert list(usual[1]) == ["epochs"]
    assert provenance.identify_trainer(ToyTrainer()) == provenance.identify(ToyTrainer())


def test_trained_by_that_names_no_option():
    class Wrong(ToyTrainer):
        trained_by = ("epoch",)

    with pytest.raises(BrokenPlugin, match="'epoch'"):
        provenance.identify_trainer(Wrong())


def test_edited_code_makes_another_run(package):
    module, folder = package
    before = provenance.sources({"it": module.It()})
    (folder / "part.py").write_text("FACTOR = 3\n")
    provenance._source.cache_clear()  # another process
    after = provenance.sources({"it": module.It()})

    assert before.keys() == after.keys() == {"it", "ringfence"}
    assert before["it"] != after["it"]
    assert before["ringfence"] == after["ringfence"]
