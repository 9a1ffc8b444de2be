"""Result files below folders: found in a fixed order, read with care, one at a time.

A result file may come from anybody: it is size-limited, plain JSON, and never executed.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ringfence.errors import RingfenceError

NAME = "result.json"
LARGEST = 4 * 2**20  #: bytes of one file
SCHEMAS = (1,)  #: the schemas whose keys are known here
STAGES = "stages"  #: holds a run's tensors, and no result


class Unreadable(Exception):
    """A file that is no result file, and why."""


def find(places: Sequence[Path]) -> Iterator[Path]:
    """Yield the files named, and every ``result.json`` below the folders named, once each."""
    seen: set[Path] = set()
    for place in places:
        if not place.exists():
            raise RingfenceError(f"{place} is not there. Give folders of runs, or result files.")
        for file in [place] if place.is_file() else _below(place):
            if (real := file.resolve()) not in seen:
                seen.add(real)
                yield file


def read(file: Path) -> dict[str, Any]:
    """Return the content of a result file.

    Raises :class:`Unreadable` for what is too large, no JSON, or of another schema.
    """
    try:
        found = json.loads(_bytes(file), parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"it is no JSON ({error})") from error
    except OSError as error:
        raise Unreadable(f"it cannot be read ({error.strerror})") from error
    if not isinstance(found, dict) or "schema" not in found:
        raise Unreadable("it is no result of a run: it has no schema")
    if type(found["schema"]) is not int or found["schema"] not in SCHEMAS:
        known = ", ".join(map(str, SCHEMAS))
        raise Unreadable(f"its schema is {str(found['schema'])[:20]!r}, and known are: {known}")
    return found


def _below(folder: Path) -> Iterator[Path]:
    for place, folders, files in os.walk(folder):
        folders[:] = sorted(f for f in folders if f != STAGES and not f.startswith("."))
        if NAME in files:
            yield Path(place, NAME)


def _bytes(file: Path) -> bytes:
    if not stat.S_ISREG(file.stat().st_mode):  # opening a pipe would wait for ever
        raise Unreadable("it is no regular file")
    with file.open("rb") as opened:
        content = opened.read(LARGEST + 1)
    if len(content) > LARGEST:
        raise Unreadable(f"it has more than {LARGEST // 2**20} MiB")
    return content


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no number of JSON")
