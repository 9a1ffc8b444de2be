"""The secret key: where it comes from, and that it is long enough.

No message here says more of a key than its length.
"""

from __future__ import annotations

import binascii
from pathlib import Path
from typing import Any

from ringfence.errors import BadOption

SHORTEST = 16  #: bytes
LONGEST = 65_536  #: bytes of a file


def decoded(text: str | bytes) -> bytes:
    """Return the bytes of a key in hex digits, or else the bytes of the text itself."""
    raw = text.encode() if isinstance(text, str) else text
    try:
        return binascii.unhexlify(raw.strip())
    except binascii.Error:
        return raw.strip()


def read(file: Path) -> bytes:
    """Return the key in ``file``, without white space at either end."""
    try:
        with file.open("rb") as opened:
            raw = opened.read(LONGEST + 1)
    except OSError as error:
        raise BadOption(
            f"'keyfile' names {file}, which cannot be read ({error.strerror})"
        ) from error
    if len(raw) > LONGEST:
        raise BadOption(f"'keyfile' names {file}, which has over {LONGEST} bytes and is no key")
    return decoded(raw)


def long_enough(_: object, field: Any, given: str | Path | None) -> None:
    """Refuse, as a validator of attrs, a key of less than :data:`SHORTEST` bytes."""
    if given is None:
        return
    key = read(given) if isinstance(given, Path) else decoded(given)
    if len(key) < SHORTEST:
        raise BadOption(
            f"{field.name!r} needs a key of {SHORTEST} bytes or more, {2 * SHORTEST} hex digits, "
            f"not {len(key)}: python -c 'import secrets; print(secrets.token_hex(32))' makes one"
        )
