"""The options that all these sets have."""

from __future__ import annotations

from typing import Any

from attrs import field, validators

BUDGET = {"synthetic": 100_000, "pool": 100_000}  #: queries, Atli et al., section 3.2.1
#: of natural pictures, as the paper steals them
DEFAULTS = {
    "model": "resnet34",
    "seeds": 1_000,
    "budget": BUDGET,
    "recipe": {"flip": True},
}


def size() -> Any:
    """Return the field of that name."""
    return field(
        default=224,
        validator=[validators.ge(1), validators.le(1024)],
        metadata={"help": "pixels a side; the middle square is kept"},
    )


def limit(default: int | None = None) -> Any:
    """Return the field of that name."""
    return field(
        default=default,
        validator=validators.optional(validators.gt(0)),
        metadata={"help": "most pictures of a class, evenly spaced over the names; none: all"},
    )
