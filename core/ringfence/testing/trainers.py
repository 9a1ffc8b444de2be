"""The contract of trainers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from ringfence.experiment import Experiment
from ringfence.protocols import Trainer
from ringfence.testing.promises import keeping, promise, seeded_as_a_run
from ringfence.testing.tiny import fresh, made, tiny_experiment
from ringfence.types import Split


def check_trainer(plugin: Any, device: str = "cpu") -> None:
    """The trained model has the architecture that was given; the data are left alone."""
    run, again = (tiny_experiment(device=device) for _ in range(2))
    weights, other = (_trained(fresh(plugin), one, one.train) for one in (run, again))
    same = all(torch.equal(weight, other[name]) for name, weight in weights.items())
    promise("trainer-seed", same, "the same seed, the same weights")
    with keeping("trainer-hostile", "data of one class, all images alike, must be trained on"):
        images, labels = run.train.images, run.train.labels
        _trained(fresh(plugin), run, Split(images.new_zeros(images.shape), labels * 0))


def _trained(plugin: Any, run: Experiment, data: Split) -> Mapping[str, Tensor]:
    """Return the weights that a fresh trainer finds."""
    trainer = made("make_trainer", plugin, Trainer, run=run.for_defense("it"))
    images, labels = data.images.clone(), data.labels.clone()
    with seeded_as_a_run("trainer-random", run, "train"):
        weights: dict[str, Tensor] = trainer.train(run.new_model(), data).state_dict()
    same = torch.equal(images, data.images) and torch.equal(labels, data.labels)
    promise("trainer-inputs", same, "train() must not change its data")
    with keeping("trainer-architecture", "only weights are kept: they must fit a fresh model"):
        run.new_model().load_state_dict(weights)
    finite = all(weight.isfinite().all() for weight in weights.values())
    promise("trainer-finite", finite, "weights are finite")
    return weights
