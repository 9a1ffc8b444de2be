"""The option ``pretrained``: copy weights into a network, once everything is known to fit."""

from __future__ import annotations

from collections.abc import Mapping
from os.path import isfile  # unlike Path's, false for a name that is too long
from pathlib import Path

import torch
import torchvision
from torch import Tensor, nn

from ringfence.errors import BadOption
from ringfence_vision.models.weights import first_line, misfit, read, refused

HELP = "weights: a file (.safetensors, .pth), or a name torchvision knows, such as imagenet"

_OWN = "net."  # what Ringfence's own models put before the names
_AUXILIARY = ("aux1.", "aux2.", "AuxLogits.")  # heads that are only there for training
_COUNTER = "num_batches_tracked"  # of batch normalisation; old files lack it


def load(net: nn.Module, pretrained: str, model: str, builder: str | None) -> None:
    """Copy the weights that ``pretrained`` names into ``net``.

    ``pretrained`` is a file, or weights that torchvision has for ``builder``. The head, which
    is the last linear or convolutional layer, stays fresh where the classes differ in number.
    """
    known = _names(builder)
    if builder and pretrained in known:
        tensors = _published(builder, known[pretrained])
    elif isfile(path := Path(pretrained).expanduser()):
        tensors = read(path)
    else:
        listing = ", ".join(known) or "none for this model at this image size"
        raise BadOption(
            f"Option 'pretrained' of {model!r} is neither a file nor the name of weights: "
            f"{pretrained!r}. Known names: {listing}. Give one of them, or the path of a file."
        )
    _fill(net, _renamed(tensors, net.state_dict()), model, pretrained)


def _names(builder: str | None) -> dict[str, str]:
    """Return the names that are accepted for ``builder``, and what torchvision calls them."""
    if builder is None:
        return {}
    own = [weights.name for weights in torchvision.models.get_model_weights(builder)]
    return {"imagenet": own[0], **{name: name for name in own}} if own else {}


def _published(builder: str, name: str) -> Mapping[str, Tensor]:
    """Return torchvision's weights: a download, unless torch's cache folder has them."""
    weights = torchvision.models.get_model_weights(builder)[name]
    try:
        found: Mapping[str, Tensor] = weights.get_state_dict(
            progress=False, check_hash=True, weights_only=True
        )
    except Exception as error:  # network, disk, hash
        raise BadOption(
            f"Weights {name!r} of {builder!r} could not be had from {weights.url} "
            f"({first_line(error)}). Give the path of a weights file as 'pretrained' instead."
        ) from error
    return found


def _renamed(found: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors by the network's names, without heads that it does not have."""
    if all(name.startswith(_OWN) for name in found):
        found = {name.removeprefix(_OWN): tensor for name, tensor in found.items()}
    return {n: t for n, t in found.items() if n in expected or not n.startswith(_AUXILIARY)}


def _fill(net: nn.Module, found: Mapping[str, Tensor], model: str, source: str) -> None:
    expected = net.state_dict()
    if wrong := _wrong_names(set(found), set(expected)):
        raise refused(source, f"{wrong}, in model {model!r}")
    head = {name for name in _head(net) if found[name].shape[:1] != expected[name].shape[:1]}
    for name, tensor in found.items():
        if wrong := misfit(tensor, expected[name], free=1 if name in head else 0):
            raise refused(source, f"tensor {name!r} {wrong}, in model {model!r}")
    with torch.no_grad():
        for name in set(found) - head:
            expected[name].copy_(found[name])  # shares the network's memory; float16 to float32


def _wrong_names(found: set[str], expected: set[str]) -> str:
    missing = sorted(name for name in expected - found if not name.endswith(_COUNTER))
    if missing:
        return f"{len(missing)} tensors are missing, the first is {missing[0]!r}"
    strange = sorted(found - expected)
    return f"{len(strange)} tensors are unknown, the first is {strange[0]!r}" if strange else ""


def _head(net: nn.Module) -> set[str]:
    """Return the names of the parameters of the last linear or convolutional layer."""
    layers = [n for n, m in net.named_modules() if isinstance(m, nn.Linear | nn.Conv2d)]
    return {name for name, _ in net.named_parameters() if name.rpartition(".")[0] == layers[-1]}
