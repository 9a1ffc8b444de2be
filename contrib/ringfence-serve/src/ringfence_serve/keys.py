"""Keys of clients: an id to find them by, and 256 random bits of which only a digest is kept."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from pathlib import Path

from attrs import field, frozen

_KEY = re.compile(r"rf_([a-z0-9]{12})_([A-Za-z0-9_-]{43})")
_LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"


@frozen
class Key:
    """A new key. Its text is shown once."""

    id: str
    text: str = field(repr=False)

    @property
    def digest(self) -> bytes:
        """What is kept of it."""
        return digest(self.text)


def new() -> Key:
    """Return a key that nobody has."""
    id = "".join(secrets.choice(_LETTERS) for _ in range(12))
    return Key(id, f"rf_{id}_{secrets.token_urlsafe(32)}")


def digest(text: str) -> bytes:
    """Return the SHA-256 of a key; its 256 random bits need no slow hash."""
    return hashlib.sha256(text.encode()).digest()


def id_of(text: str) -> str | None:
    """Return the id in a key; nothing if it is none."""
    found = _KEY.fullmatch(text)
    return found[1] if found else None


def fits(text: str, kept: bytes) -> bool:
    """Return whether ``kept`` is the digest of ``text``, in the same time whatever the answer."""
    return hmac.compare_digest(digest(text), kept)


def own(file: Path) -> str:
    """Return the text in a file that only its owner can read; written now if it is not there."""
    file.parent.mkdir(parents=True, exist_ok=True)
    if not file.exists():
        file.touch(mode=0o600)
        file.write_text(secrets.token_urlsafe(32) + "\n", encoding="ascii")
    return file.read_text(encoding="ascii").strip()
