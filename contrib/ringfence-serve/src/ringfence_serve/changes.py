"""What a batch has changed: states as texts, logs that grew, clients that were touched."""

from __future__ import annotations

import json
from typing import Any

import cattrs
import msgspec

from ringfence.batch import Batch
from ringfence.log import Log
from ringfence.state import STATE_LIMIT, Key, plain

_encoder, _decoder = msgspec.json.Encoder(), msgspec.json.Decoder()


def touched(batch: Batch) -> set[str]:
    """Return the clients whose states or logs a batch has asked for."""
    return {key[1] for key in (*batch.states, *batch.logs)}


def grown(batch: Batch) -> list[tuple[Key, Log, int]]:
    """Return the logs that a batch has added to, with their sizes before."""
    return [(key, log, size) for key, (log, size) in batch.logs.items() if len(log) > size]


def text(key: Key, state: Any) -> str:
    """Return a state as JSON; refuse what is too large or not plain."""
    told = _quickly(state) or json.dumps(plain(key, state))
    if len(told) > STATE_LIMIT:
        plain(key, state)  # which says what is wrong
    return told


def _quickly(state: Any) -> str:
    """Return JSON, with spaces as the standard library's; nothing if it would not come back."""
    try:
        values = state if isinstance(state, dict) else cattrs.unstructure(state)
        told = _encoder.encode(values)
        if _decoder.decode(told) == values:  # not so: what is not finite, bytes, tuples
            return msgspec.json.format(told, indent=0).decode()
    except (TypeError, ValueError, OverflowError):
        pass
    return ""
