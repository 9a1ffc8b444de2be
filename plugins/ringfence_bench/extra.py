"""The libraries that only reports need: an optional extra, named when one is missing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ringfence.errors import RingfenceError

LIBRARIES = ("polars", "matplotlib", "jinja2")


@contextmanager
def required() -> Iterator[None]:
    """Turn a missing library of the extra into an error that says how to install it."""
    try:
        yield
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing not in LIBRARIES:
            raise
        raise RingfenceError(
            f"Reports need {missing}, which is not installed. "
            "Install the extra: pip install 'ringfence[report]'."
        ) from error
