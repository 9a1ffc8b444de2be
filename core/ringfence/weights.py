"""Read files of weights that others made.

They are untrusted: nothing in them is run, and sizes are checked before anything is read.
"""

from __future__ import annotations

import pickletools
import re
from io import BytesIO
from os import fstat
from pathlib import Path
from typing import Any
from zipfile import ZIP_STORED, ZipFile

import safetensors.torch
import torch
from torch import Tensor

from ringfence.errors import BadOption

LIMIT = 2**30  #: bytes of a file

_MEMBER = re.compile(  # what torch.save writes for a state dict; no TorchScript, no .pt2
    r"[^/]+/(data\.pkl|data/\d+|byteorder|version|\.format_version|\.storage_alignment"
    r"|\.data/serialization_id)"
)
_HARMLESS = re.compile(
    r"collections OrderedDict|torch\._utils _rebuild_(tensor_v2|parameter)|torch \w+Storage"
)
_IMPORTS = {"GLOBAL", "STACK_GLOBAL", "INST", "EXT1", "EXT2", "EXT4"}


def read(file: Path) -> dict[str, Tensor]:
    """Return the tensors of a safetensors file, or of a state dict saved by ``torch.save``.

    Their shapes are only claims: :func:`ringfence.transplant.fill` checks before it copies.
    """
    try:
        data = _bytes(file)
        tensors = _unzipped(data) if data.startswith(b"PK") else safetensors.torch.load(data)
    except Exception as error:  # parsers of hostile bytes may raise anything
        raise refused(str(file), f"it cannot be read ({first_line(error)})") from error
    if not isinstance(tensors, dict) or not all(map(_is_entry, tensors.items())):
        raise refused(str(file), "it is not a state dict, which maps names to tensors")
    return tensors


def refused(source: str, why: str) -> BadOption:
    """Return the error for weights that cannot be used."""
    return BadOption(
        f"Weights {source!r} were refused: {why}. Give a safetensors file, or a state dict "
        "saved by torch.save, of this architecture."
    )


def first_line(error: Exception) -> str:
    """Return what an error of a library says, in short."""
    return str(error).strip().partition("\n")[0][:200] or type(error).__name__


def _bytes(file: Path) -> bytes:
    """Return what is in the file, read once, so that it cannot change while it is checked."""
    with file.open("rb") as stream:
        size = fstat(stream.fileno()).st_size
        if not 0 < size <= LIMIT:
            raise ValueError(f"it has {size:,} bytes, of 1 to {LIMIT:,} that are read")
        return stream.read(size)


def _unzipped(data: bytes) -> Any:
    """Return what a zip file holds, packed anew from members that were checked."""
    repacked = BytesIO()
    with ZipFile(BytesIO(data)) as old, ZipFile(repacked, "w", ZIP_STORED) as new:
        if sum(member.file_size for member in old.infolist()) > len(data):
            raise ValueError("members of the zip file claim more bytes than it has")
        for member in old.infolist():
            if member.compress_type != ZIP_STORED:
                raise ValueError("members of the zip file are compressed")
            if not (short := _MEMBER.fullmatch(member.filename)):
                raise ValueError(f"member {member.filename!r} belongs to no state dict")
            content = old.read(member)  # checks the CRC-32
            if short[1] == "data.pkl":
                _refuse_imports(content)
            new.writestr(f"archive/{short[1]}", content)
    repacked.seek(0)
    return torch.load(repacked, map_location="cpu", weights_only=True)


def _refuse_imports(pickled: bytes) -> None:
    """Refuse what ``weights_only`` would call and tensors do not need, such as ``bytearray``."""
    for opcode, argument, _ in pickletools.genops(pickled):
        if opcode.name in _IMPORTS and not _HARMLESS.fullmatch(str(argument)):
            raise ValueError(f"its pickle asks for {argument!r}")


def _is_entry(item: tuple[object, object]) -> bool:
    return isinstance(item[0], str) and isinstance(item[1], Tensor)
