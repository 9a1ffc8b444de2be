"""The confidence regressor: how much distances look like those at training images."""

from __future__ import annotations

from typing import Any

import torch
from attrs import frozen
from torch import Tensor, nn

HIDDEN = 200  #: units
STEPS, LR = 500, 1e-3  #: of Adam, each on all images
LEAST = 1e-6  #: deviation of a distance that is always the same


@frozen(eq=False)
class Confidence:
    """A network over standardised distances; plain values, so that it can be cached."""

    mean: Tensor  #: ``(F,)`` of the victim's distances at training images
    deviation: Tensor
    weights: dict[str, Tensor]

    @torch.no_grad()
    def __call__(self, distances: Tensor) -> Tensor:
        """Return ``(N,)`` in [-1, 1]: higher is more like a training image."""
        network = _network(len(self.mean)).to(distances.device)
        network.load_state_dict(self.weights)
        answers: Tensor = network((distances - self.mean) / self.deviation)
        return answers.flatten()

    def dump(self) -> dict[str, Any]:
        """Return all as plain values and tensors."""
        return {"mean": self.mean, "deviation": self.deviation, "weights": self.weights}


def learn(private: Tensor, other: Tensor) -> Confidence:
    """Fit a network to be high for distances ``(N, F)`` at ``private`` images.

    Its first weights are drawn from PyTorch's global stream.
    """
    mean, deviation = private.mean(0), private.std(0).clamp(min=LEAST)
    features = (torch.cat([private, other]) - mean) / deviation
    signs = torch.cat([torch.ones(len(private)), -torch.ones(len(other))]).to(features.device)
    network = _network(features.shape[1]).to(features.device)
    optimizer = torch.optim.Adam(network.parameters(), lr=LR)
    for _ in range(STEPS):
        optimizer.zero_grad()
        (-signs * network(features).flatten()).mean().backward()
        optimizer.step()
    return Confidence(mean, deviation, network.state_dict())


def _network(features: int) -> nn.Module:
    return nn.Sequential(nn.Linear(features, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 1), nn.Tanh())
