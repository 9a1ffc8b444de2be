"""Places at which a test lets the process die, named in ``RINGFENCE_FAILPOINT``.

``commit.before:7`` kills the process when it comes by ``commit.before`` for the seventh time.
Nothing that a client sends reaches this: only who starts the process says where it dies.
"""

from __future__ import annotations

import os
import signal

VARIABLE = "RINGFENCE_FAILPOINT"
NAMES = ("batch.before", "commit.before", "commit.after", "reply.before")

_left: dict[str, int] = {}  #: passes until the process dies


def arm(told: str) -> None:
    """Die at ``NAME:TURN``; nothing where ``told`` is empty."""
    name, _, turn = told.partition(":")
    _left.clear()
    if name:
        _left[name] = int(turn or 1)


def failpoint(name: str) -> None:
    """Die here, as by ``kill -9``, if that was asked for."""
    if name not in _left:
        return
    _left[name] -= 1
    if not _left[name]:
        os.kill(os.getpid(), signal.SIGKILL)


arm(os.environ.get(VARIABLE, ""))
