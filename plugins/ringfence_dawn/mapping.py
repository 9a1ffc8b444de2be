"""What of a query is hashed: its pixels, or a coarse embedding that small changes leave alone.

An embedding is binarised at its medians over validation images, dimension by dimension. (The
released notebook computes medians and then compares with zero.)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

import numpy as np
import torch
from attrs import frozen
from torch import Tensor, nn

from ringfence.errors import BadOption
from ringfence.images import as_float, pixels
from ringfence.inference import BATCH, logits
from ringfence.run import DefenseRun

Name = Literal["pixels", "logits", "hidden"]


class Mapping(Protocol):
    """Turns queries into what is hashed."""

    def messages(self, images: Tensor, probs: Tensor) -> list[bytes]:
        """Return one message per image ``(N, C, H, W)``; ``probs`` ``(N, K)`` as answered."""
        ...


@frozen
class Pixels:
    """The image itself, in 256 shades: another image gets another decision."""

    def messages(self, images: Tensor, probs: Tensor) -> list[bytes]:
        """Return the pixels."""
        return pixels(images)


@frozen(eq=False)
class Embedded:
    """The signs of an embedding at its medians."""

    name: Name
    victim: nn.Module
    medians: Tensor  #: ``(D,)``
    sample: Tensor  #: bool ``(V, D)``: the signs of validation images

    def messages(self, images: Tensor, probs: Tensor) -> list[bytes]:
        """Return the signs, eight to a byte."""
        values = probs if self.name == "logits" else hidden_one_by_one(self.victim, images)
        return packed(values > self.medians)

    def validation(self) -> list[bytes]:
        """Return the messages of the validation images."""
        return packed(self.sample)


def packed(signs: Tensor) -> list[bytes]:
    """Return each row of ``signs``, bool ``(N, D)``, as bytes."""
    return [row.tobytes() for row in np.packbits(signs.cpu().numpy(), axis=1)]


def make_mapping(name: Name, run: DefenseRun, victim: nn.Module) -> Mapping:
    """Return the mapping called ``name``; medians are estimated once per victim and kept."""
    if name == "pixels":
        return Pixels()

    def estimate() -> dict[str, Tensor]:
        images = run.validation.images
        values = probabilities(victim, images) if name == "logits" else hidden(victim, images)
        medians = values.double().quantile(0.5, dim=0).to(values)
        return {"medians": medians, "sample": values > medians}

    kept = run.cached(f"mapping/{name}", estimate)
    return Embedded(name, victim, kept["medians"], kept["sample"])


@torch.no_grad()
def probabilities(victim: nn.Module, images: Tensor) -> Tensor:
    """Return soft labels ``(N, K)`` float64.

    The signs at their medians are those of the log-probabilities: a logarithm keeps the order,
    and not taking it keeps every bit the same in any batch.
    """
    return logits(victim, images).double().softmax(-1)


@torch.no_grad()
def hidden(victim: nn.Module, images: Tensor) -> Tensor:
    """Return what enters the last linear layer, ``(N, D)``."""
    return _entering(victim, images.split(BATCH))


@torch.no_grad()
def hidden_one_by_one(victim: nn.Module, images: Tensor) -> Tensor:
    """Return the same, alike in the last bit however the images were batched, but slowly."""
    return _entering(victim, images.split(1))


def _entering(victim: nn.Module, batches: Sequence[Tensor]) -> Tensor:
    kept: list[Tensor] = []
    with _last_linear(victim).register_forward_pre_hook(
        lambda _, inputs: kept.append(inputs[0].flatten(1))
    ):
        for batch in batches:
            victim(as_float(batch))
    return torch.cat(kept)


def _last_linear(victim: nn.Module) -> nn.Linear:
    layers = [layer for layer in victim.modules() if isinstance(layer, nn.Linear)]
    if not layers:
        raise BadOption(
            "dawn.mapping=hidden needs a victim with a linear layer, and this one has none. Use "
            "logits or pixels.",
            option="dawn.mapping",
        )
    return layers[-1]
