"""Copy weights of others into a network, once everything is known to fit."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from ringfence.weights import refused

_COUNTER = "num_batches_tracked"  # of batch normalisation; old files lack it


def fill(net: nn.Module, found: Mapping[str, Tensor], model: str, source: str) -> None:
    """Copy the tensors ``found`` in ``source`` into ``net``, a network of the model ``model``.

    The head, which is the last linear or convolutional layer registered, stays fresh where the
    classes differ in number. Raises :class:`ringfence.errors.BadOption`, and copies nothing, if
    names, shapes or numbers are not those of the network.
    """
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


def misfit(found: Tensor, expected: Tensor, free: int = 0) -> str:
    """Return why ``found`` cannot be copied to ``expected``, or nothing.

    The first ``free`` dimensions may differ. A tensor that claims more numbers than were in
    the file, as stride 0 does, is a misfit whatever its shape.
    """
    if found.shape[free:] != expected.shape[free:] or found.ndim != expected.ndim:
        return f"has shape {tuple(found.shape)} where {tuple(expected.shape)} is expected"
    if found.layout != torch.strided or found.untyped_storage().nbytes() < found.nbytes:
        return f"claims shape {tuple(found.shape)} but does not hold that many numbers"
    if found.dtype.is_floating_point != expected.dtype.is_floating_point or found.is_complex():
        return f"is {found.dtype} where {expected.dtype} is expected"
    return "" if found.float().isfinite().all() else "holds numbers that are not finite"


def _wrong_names(found: set[str], expected: set[str]) -> str:
    missing = sorted(name for name in expected - found if not name.endswith(_COUNTER))
    if missing:
        return f"{len(missing)} tensors are missing, the first is {missing[0]!r}"
    strange = sorted(found - expected)
    return f"{len(strange)} tensors are unknown, the first is {strange[0]!r}" if strange else ""


def _head(net: nn.Module) -> set[str]:
    """Return the names of the parameters of the last linear or convolutional layer."""
    layers = [n for n, m in net.named_modules() if isinstance(m, nn.Linear | nn.Conv2d)]
    return {name for name, _ in net.named_parameters() if name.rpartition(".")[0] in layers[-1:]}
