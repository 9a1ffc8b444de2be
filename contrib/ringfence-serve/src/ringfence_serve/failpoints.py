"""Places at which a test lets the process die, named in ``RINGFENCE_FAILPOINT``.

``commit.before:7`` kills the process when it comes by ``commit.before`` for the seventh time.
Nothing in a package's input reaches this: only who starts the process sets its environment.
"""

from __future__ import annotations

import os
import signal
from collections import Counter

VARIABLE = "RINGFENCE_FAILPOINT"
NAMES = ("batch.before", "commit.before", "commit.after", "reply.before")

_name, _, _turn = os.environ.get(VARIABLE, "").partition(":")
_seen: Counter[str] = Counter()


def failpoint(name: str) -> None:
    """Die here, as by ``kill -9``, if that was asked for."""
    if name != _name:
        return
    _seen[name] += 1
    if _seen[name] == int(_turn or 1):
        os.kill(os.getpid(), signal.SIGKILL)
