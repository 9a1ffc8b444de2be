"""The same image of the same client: what was answered to it before."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import sqlalchemy as sa

from ringfence_serve import pixels, schema
from ringfence_serve.asks import Floats
from ringfence_serve.database import Database


def told_before(database: Database, keys: Sequence[bytes]) -> dict[bytes, Floats]:
    """Return the first answers to images, ``keys`` being digests of them with their clients."""
    wanted = tuple(dict.fromkeys(keys))
    rows = database.fetch(("before", len(wanted)), lambda: _before(len(wanted)), wanted)
    return {image: pixels.numbers(answer) for image, answer in rows}  # the oldest one stays


def first_rows(keys: Sequence[bytes], told: Collection[bytes]) -> list[int]:
    """Return the first row of each key that was not answered yet."""
    first: dict[bytes, int] = {}
    for row, key in enumerate(keys):
        if key not in told:
            first.setdefault(key, row)
    return list(first.values())


def _before(count: int) -> sa.ClauseElement:
    """Return what asks for earlier answers to so many images, the oldest last."""
    columns = schema.queries.c
    wanted = columns.image.in_([sa.bindparam(f"key{place}") for place in range(count)])
    return sa.select(columns.image, columns.answer).where(wanted).order_by(columns.number.desc())
