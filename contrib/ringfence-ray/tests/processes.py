"""The processes that these tests have started: Ray's daemons leave their parents."""

from __future__ import annotations

import contextlib
import os

import psutil


def ours():
    """Return all that live and have the tests' token in their environment."""
    return [one for one in psutil.process_iter() if _has_token(one)]


def kill_ours():
    """Kill what a cluster has left behind that could not be started whole."""
    for process in ours():
        with contextlib.suppress(psutil.Error):
            process.kill()


def _has_token(process):
    try:
        if process.pid == os.getpid() or process.status() == psutil.STATUS_ZOMBIE:
            return False
        if process.ppid() == os.getpid() and "multiprocessing" in " ".join(process.cmdline()):
            return False  # the forkserver of the executor local, which ends with the tests
        return process.environ().get("RAY_AUTH_TOKEN") == os.environ["RAY_AUTH_TOKEN"]
    except psutil.Error:
        return False
