"""A client's state as JSON holds it, and how large it may be."""

from __future__ import annotations

import json
from typing import Any

import cattrs

from ringfence.errors import BrokenPlugin

STATE_LIMIT = 8192  #: bytes of one state, as JSON

Key = tuple[str, str, str]  #: plugin, client, name of the state's class or of the log


def plain(key: Key, state: Any) -> Any:
    """Return a state as JSON holds it; refuse what is too large or not plain."""
    try:
        values = state if isinstance(state, dict) else cattrs.unstructure(state)
        size = len(json.dumps(values))
    except TypeError as error:
        raise BrokenPlugin(
            f"Plugin {key[0]!r} keeps a state {key[2]} that is not plain."
        ) from error
    if size > STATE_LIMIT:
        raise BrokenPlugin(
            f"Plugin {key[0]!r} keeps {size} bytes in the state {key[2]} of client {key[1]!r}; "
            f"the limit is {STATE_LIMIT}. Use run.store.log() for what grows."
        )
    return values
