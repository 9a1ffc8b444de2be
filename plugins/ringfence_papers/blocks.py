"""Generated blocks of a Markdown page: between two marks, the rest is written by people.

``<!-- reproduce amao/table3 -->`` starts the block of a table, ``<!-- reproduce amao -->`` that of
all claims; ``<!-- end -->`` ends either.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from ringfence.atomic import write_text
from ringfence.errors import RingfenceError

BLOCK = re.compile(r"(<!-- reproduce ([\w/-]+) -->\n)(.*?)(<!-- end -->)", re.DOTALL)


def names(file: Path) -> list[str]:
    """Return what the blocks of a page are to hold."""
    found = [match[2] for match in BLOCK.finditer(_text(file))]
    if not found:
        raise RingfenceError(
            f"{file} has no block to fill. Write <!-- reproduce STUDY/TABLE --> and, on a line "
            "below it, <!-- end --> where the table is to stand."
        )
    return found


def renew(file: Path, made: Callable[[str], str], *, check: bool) -> list[str]:
    """Fill every block of a page; return those that were not up to date. ``check``: no writing."""
    old, stale = _text(file), []

    def filled(match: re.Match[str]) -> str:
        text = f"\n{made(match[2])}\n"
        if text != match[3]:
            stale.append(match[2])
        return match[1] + text + match[4]

    new = BLOCK.sub(filled, old)
    if stale and not check:
        write_text(file, new)
    return stale


def _text(file: Path) -> str:
    return file.read_text(encoding="utf-8")
