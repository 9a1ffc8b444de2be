"""A value in a folder of its own: tensors as safetensors, the rest as JSON, and their SHA-256.

A value is a tree of dicts (with text keys) and lists with tensors, numbers, text, booleans
and ``None`` at its leaves. Formats alone do not notice flipped bits, so digests do.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from ringfence.atomic import new_folder
from ringfence.errors import BrokenPlugin, RingfenceError

TENSORS, TREE, DIGESTS = "tensors.safetensors", "value.json", "SHA256SUMS"
_REFERENCE = "$tensor"


class DamagedArtifact(RingfenceError):
    """A folder does not hold what was once written there."""


def save(folder: Path, value: Any) -> None:
    """Write ``value`` to the new folder ``folder``; it appears whole or not at all."""
    tensors: dict[str, Tensor] = {}
    tree = _without_tensors(value, tensors)
    with new_folder(folder) as draft:
        (draft / TENSORS).write_bytes(safetensors.torch.save(tensors))
        (draft / TREE).write_text(json.dumps(tree) + "\n", encoding="utf-8")
        lines = [f"{_digest((draft / name).read_bytes())}  {name}\n" for name in (TENSORS, TREE)]
        (draft / DIGESTS).write_text("".join(lines), encoding="utf-8")


def load(folder: Path, device: str | torch.device = "cpu", limit: int | None = None) -> Any:
    """Return the value in ``folder``, its tensors on ``device``.

    Raises :class:`DamagedArtifact` if a file is missing, is not what was written, or has more
    than ``limit`` bytes.
    """
    try:
        _refuse_larger(folder, limit)
        wanted = dict(line.split()[::-1] for line in (folder / DIGESTS).read_text().splitlines())
        content = {name: (folder / name).read_bytes() for name in (TENSORS, TREE)}
        if any(_digest(read) != wanted.get(name) for name, read in content.items()):
            raise DamagedArtifact(f"{folder} does not match its {DIGESTS}.")
        tensors = safetensors.torch.load(content[TENSORS])
        return _with_tensors(json.loads(content[TREE]), tensors, device)
    except (OSError, ValueError, SafetensorError, RecursionError) as error:
        raise DamagedArtifact(f"{folder} cannot be read ({error}).") from error
    except (KeyError, TypeError) as error:  # digests fit, but a tensor is not there
        raise DamagedArtifact(f"{folder} names a tensor that it does not hold.") from error


def round_trip(value: Any, device: str | torch.device = "cpu") -> Any:
    """Return what :func:`load` would return after :func:`save`, without touching a disk."""
    tensors: dict[str, Tensor] = {}
    tree = json.loads(json.dumps(_without_tensors(value, tensors)))
    return _with_tensors(tree, tensors, device)


def _refuse_larger(folder: Path, limit: int | None) -> None:
    sizes = {name: (folder / name).stat().st_size for name in (TENSORS, TREE, DIGESTS)}
    for name, size in sizes.items():
        if limit is not None and size > limit:
            raise ValueError(f"{name} has {size:,} bytes, of {limit:,} that are read")


def _without_tensors(value: Any, tensors: dict[str, Tensor]) -> Any:
    """Return ``value`` with references in place of tensors, which are collected as copies."""
    if isinstance(value, Tensor):
        tensors[name := str(len(tensors))] = value.detach().to("cpu", copy=True).contiguous()
        return {_REFERENCE: name}
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        return {key: _without_tensors(one, tensors) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_tensors(one, tensors) for one in value]
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise BrokenPlugin(
        f"Kept values are tensors, numbers, text, and lists or dicts of them, not "
        f"{type(value).__name__}. Return model.state_dict(), not the model."
    )


def _with_tensors(tree: Any, tensors: dict[str, Tensor], device: str | torch.device) -> Any:
    if isinstance(tree, list):
        return [_with_tensors(one, tensors, device) for one in tree]
    if not isinstance(tree, dict):
        return tree
    if tree.keys() == {_REFERENCE}:
        return tensors[tree[_REFERENCE]].to(device, copy=True)
    return {key: _with_tensors(one, tensors, device) for key, one in tree.items()}


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
