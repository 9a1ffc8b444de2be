"""Do one job in this process; every executor's processes end up here.

Whatever the run says goes to ``log.txt`` in its folder, what went wrong to ``error.txt``.
"""

from __future__ import annotations

import os
import sys
import traceback
from pathlib import Path

from ringfence.atomic import write_text
from ringfence.errors import RingfenceError
from ringfence.jobs import Ended, Job

ERROR, LOG = "error.txt", "log.txt"


def work(job: Job, patience: float = 0.0) -> int:
    """Run ``job``; return the exit code of its process: 0, or 1 with the reason in a file.

    Another process that holds the job's folder has ``patience`` seconds to end.
    """
    from ringfence.launch import launch  # torch: who only asks for an outcome needs none

    job.out.mkdir(parents=True, exist_ok=True)
    (job.out / ERROR).unlink(missing_ok=True)
    _redirect(job.out / LOG)
    try:
        launch(job.named, job.out, patience=patience)
    except RingfenceError as error:
        write_text(job.out / ERROR, f"{error}\n")
        return 1
    except Exception as error:
        write_text(job.out / ERROR, f"{type(error).__name__}: {error}\n{traceback.format_exc()}")
        return 1
    return 0


def outcome(job: Job, code: int | None) -> Ended:
    """Return how ``job`` ended, whose process ended with ``code``."""
    if code == 0:
        return Ended(job.id, "finished")
    file = job.out / ERROR
    if code == 1 and file.exists():
        return Ended(job.id, "failed", file.read_text(encoding="utf-8").partition("\n")[0])
    cause = f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"
    return Ended(job.id, "died", f"its process ended by {cause}; see {LOG} in its folder")


def _redirect(log: Path) -> None:
    """Send what is printed, by Python or below it, to ``log``."""
    sys.stdout.flush()
    sys.stderr.flush()
    handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for stream in (1, 2):
        os.dup2(handle, stream)
    os.close(handle)
