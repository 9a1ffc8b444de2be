"""The restorer: a small network from the answer that was sent to the one that was meant."""

from __future__ import annotations

from itertools import pairwise

import torch
from attrs import frozen
from torch import Generator, Tensor, nn

from ringfence.recipe import Recipe
from ringfence.training import fit
from ringfence_ddae.formats import HARD
from ringfence_ddae.simulation import Pairs

SLOPE = 0.2  #: of the leaky units
#: hidden widths from so many classes on; the authors' for 43, 100, 200 and 256 classes
WIDTHS = {0: (128, 64), 43: (512, 256), 100: (1024, 512), 200: (2048, 1024)}


@frozen(eq=False)
class Restorer:
    """A fitted network, in eval mode."""

    net: nn.Module

    @torch.no_grad()
    def __call__(self, answers: Tensor, own: Tensor | None) -> Tensor:
        """Return soft labels ``(N, K)`` for ``answers``, in their dtype.

        ``own``: the attacker's posterior ``(N, K)`` where the network has learnt with it.
        """
        restored: Tensor = self.net(_inputs(answers, own))
        return restored.to(answers.dtype)


def network(num_classes: int, *, beside: bool) -> nn.Module:
    """Return a fresh net ``(N, K)``, or ``(N, 2K)`` with ``beside``, to soft labels ``(N, K)``."""
    hidden = [widths for classes, widths in WIDTHS.items() if num_classes >= classes][-1]
    sizes = (num_classes * (1 + beside), *hidden, num_classes)
    layers = [
        layer
        for before, after in pairwise(sizes)
        for layer in (nn.Linear(before, after), nn.BatchNorm1d(after), nn.LeakyReLU(SLOPE))
    ]
    return nn.Sequential(*layers, nn.Softmax(-1))


def recipe(epochs: int) -> Recipe:
    """Return the authors' optimiser; batch size and epochs are ours."""
    return Recipe(
        epochs=epochs, batch_size=256, optimizer="sgd", lr=0.01, momentum=0.9, weight_decay=1e-4
    )


def learn(
    net: nn.Module, pairs: Pairs, recipe: Recipe, format: str, random: Generator
) -> nn.Module:
    """Fit ``net`` in place to what was meant; return it in eval mode."""
    inputs, wanted = _inputs(pairs.sent, pairs.own), _wanted(pairs, format).float()
    return fit(net, inputs, wanted, recipe, objective=l1, generator=random, name="restorer")


def errors(restorer: Restorer, pairs: Pairs, format: str) -> dict[str, float]:
    """Return mean L1 distances to what was meant, at most 2, and shares of wrong top-1 classes."""
    wanted = _wanted(pairs, format)
    told: dict[str, float] = {}
    for name, answers in (
        ("disturbed", pairs.sent),
        ("restored", restorer(pairs.sent, pairs.own)),
    ):
        told[f"{name}_l1"] = (answers - wanted).abs().sum(-1).mean().item()
        told[f"{name}_wrong"] = (answers.argmax(-1) != wanted.argmax(-1)).double().mean().item()
    return told


def l1(net: nn.Module, inputs: Tensor, wanted: Tensor) -> Tensor:
    """Return the mean over rows of the L1 distance, summed over classes."""
    distance: Tensor = (net(inputs) - wanted).abs().sum(-1).mean()
    return distance


def _inputs(answers: Tensor, own: Tensor | None) -> Tensor:
    return answers.float() if own is None else torch.cat([answers, own.to(answers)], 1).float()


def _wanted(pairs: Pairs, format: str) -> Tensor:
    """Return the undefended probabilities, or the undefended class where labels are hard."""
    return pairs.honest if format == HARD else pairs.probs
