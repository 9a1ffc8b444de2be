"""How a guard serves, and the files of its folder."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from attrs import field, frozen

OPERATOR, ADDRESS, DATABASE, SECRET = "operator.key", "server.json", "guard.db", "secret.key"


@frozen(kw_only=True)
class Settings:
    """How a guard serves."""

    state: Path  #: folder of its database and keys
    host: str = "127.0.0.1"
    port: int = 8000
    observe: bool = False
    quota: int | None = None
    rate: float | None = None
    queue: int = 1024
    most: int = 256
    repeats: Literal["same", "pipeline"] = "same"
    secret: Literal["own", "run"] = "own"
    webhook: str | None = field(default=None, repr=False)
    webhook_secret: bytes = field(default=b"", repr=False)
    body_seconds: float = 2.0
    even: float = 0.0  #: milliseconds, see :mod:`ringfence_serve.even`
    connections: int = 1024


def url_of(state: Path) -> str:
    """Return the URL of the database in a guard's folder."""
    return f"sqlite:///{state / DATABASE}"
