"""The promises that a plugin keeps, by name; a failure says which one, and where it is explained.

Every name has a heading in ``docs/contracts.md``, and in ``tests/broken`` a plugin that breaks it.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

DOCS = "docs/contracts.md"

#: kind of thing: the promises that it keeps, each called KIND-WORD
WORDS = {
    "plugin": "class made",
    "trainer": "architecture finite hostile inputs random seed",
    "detector": "batches clients device dtype finite hostile inputs random seed shape store",
    "responder": "batches clients device dtype finite hostile inputs random rows seed shape store",
    "verifier": "budget controls empty evidence hostile random seed store",
    "attack": "budget finite hostile inputs queries random seed substitute",
    "recovery": "empty finish finite hostile inputs oracle random refusal remaining seed shape "
    "spent",
    "dataset": "again defaults labels missing parts random range shape",
    "model": "batches device hostile inputs logits new random saved seed",
    "metric": "nothing plain pure random",
    "executor": "cancel close ends failure patience refusal",
    "store": "apart clear closed copies failed kept ledger limit saved",
}
PROMISES = frozenset(f"{kind}-{word}" for kind, words in WORDS.items() for word in words.split())


class BrokenPromise(AssertionError):
    """A plugin does not do what every plugin of its kind does.

    ``promise``: the name of what it broke.
    """

    def __init__(self, promise: str, told: str) -> None:
        assert promise in PROMISES, f"no promise is called {promise!r}"
        super().__init__(f"{promise}: {told}. See {DOCS}#{promise}")
        self.promise = promise


def promise(name: str, kept: object, told: str) -> None:
    """Raise :class:`BrokenPromise` unless ``kept``; ``told`` is what should have been."""
    if not kept:
        raise BrokenPromise(name, told)


@contextmanager
def keeping(name: str, told: str, error: type[Exception] = Exception) -> Iterator[None]:
    """Take any ``error`` inside, other promises' included, for one broken promise."""
    try:
        yield
    except error as reason:
        inner = str(reason).partition(". See ")[0]
        why = inner if isinstance(reason, BrokenPromise) else f"{type(reason).__name__}: {inner}"
        raise BrokenPromise(name, f"{told} ({why})") from reason


@contextmanager
def quiet(name: str) -> Iterator[None]:
    """Let nothing inside draw from, or seed, a random stream that all share."""
    before = _global_states()
    yield
    for (library, state), (_, after) in zip(before, _global_states(), strict=True):
        promise(name, state == after, f"draws random numbers from the global stream of {library}")


@contextmanager
def seeded_as_a_run(name: str, run: Any, stream: str) -> Iterator[None]:
    """Do what is inside as a run does: PyTorch's stream is seeded for it, no other one is."""
    from ringfence.randomness import seeded

    with quiet(name), seeded(run.streams, stream):
        yield


def _global_states() -> list[tuple[str, Any]]:
    """Return the global random states, as values that can be compared."""
    numpy = np.random.get_state(legacy=False)
    return [
        ("torch", torch.get_rng_state().numpy().tobytes()),
        ("numpy", repr(numpy["state"]["pos"]) + numpy["state"]["key"].tobytes().hex()),
        ("random", random.getstate()),
    ]
