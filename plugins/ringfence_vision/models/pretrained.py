"""The option ``pretrained``: copy weights into a network, once everything is known to fit."""

from __future__ import annotations

from collections.abc import Mapping
from os.path import isfile  # unlike Path's, false for a name that is too long
from pathlib import Path

import torchvision
from torch import Tensor, nn

from ringfence.errors import BadOption
from ringfence.transplant import fill
from ringfence.weights import first_line, read

HELP = "weights: a file (.safetensors, .pth), or a name torchvision knows, such as imagenet"

_OWN = "net."  # what Ringfence's own models put before the names
_AUXILIARY = ("aux1.", "aux2.", "AuxLogits.")  # heads that are only there for training


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
    fill(net, _renamed(tensors, net.state_dict()), model, pretrained)


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
