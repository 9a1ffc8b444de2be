"""What several layers of a network make of images: one vector per image and layer."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

from torch import Tensor, nn

from ringfence.errors import BadOption
from ringfence.features import activations

MOST = 5  #: layers that are chosen where none are named
#: of a ResNet: behind the stem, and behind each of the four stages, as in Lee et al.'s code
STAGES = ("maxpool", "layer1", "layer2", "layer3", "layer4")
_ACTIVATIONS = (nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.SiLU, nn.GELU, nn.Hardswish, nn.Tanh)


def chosen(net: nn.Module, named: Sequence[str]) -> tuple[str, ...]:
    """Return the names of the layers whose outputs are looked at.

    Those ``named``, else a ResNet's stages, else at most five activations, evenly spaced, the
    last one among them. None at all: the input of the last layer is looked at.
    """
    known = {name for name, _ in net.named_modules()}
    if strange := [name for name in named if name not in known]:
        listing = ", ".join(sorted(known - {""}))
        raise BadOption(f"The victim has no layer {strange[0]!r}. Known: {listing}.")
    if named:
        return tuple(named)
    stages = [one for stage in STAGES for one in known if one.rpartition(".")[2] == stage]
    if len(stages) == len(STAGES):
        return tuple(stages)
    found = [name for name, layer in net.named_modules() if isinstance(layer, _ACTIVATIONS)]
    size = min(MOST, len(found))
    return tuple(found[(step + 1) * len(found) // size - 1] for step in range(size))


def vectors(net: nn.Module, names: Sequence[str], images: Tensor) -> list[Tensor]:
    """Return ``(N, D)`` of float images for each layer; maps by their spatial mean."""
    if not names:
        return [activations(net, images).features]
    seen: dict[str, Tensor] = {}

    def note(name: str) -> Any:
        def hook(layer: nn.Module, given: tuple[Tensor, ...], made: Tensor) -> None:
            seen[name] = _flat(made)

        return hook

    with ExitStack() as stack:
        for name in names:
            handle = net.get_submodule(name).register_forward_hook(note(name))
            stack.callback(handle.remove)
        net(images)
    return [seen[name] for name in names]


def _flat(made: Tensor) -> Tensor:
    """Return ``(N, D)``: the mean over space of a map, over tokens of a sequence."""
    if made.ndim == 4:
        return made.mean((2, 3))
    return made.mean(1) if made.ndim == 3 else made
