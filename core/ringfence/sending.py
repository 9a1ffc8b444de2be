"""The sender's side of a job that another machine does."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path

from attrs import evolve

from ringfence.cache import default_folder
from ringfence.folder import RESULT
from ringfence.jobs import Ended, Job
from ringfence.remote import RemoteJob, Sharing

SIGHT = 10.0  #: seconds until a file that another machine wrote is seen here


def packed(
    job: Job, sharing: Sharing = "shared", data_roots: Mapping[str, str] | None = None
) -> RemoteJob:
    """Return ``job`` ready to be sent; its folder is there from now on."""
    here = evolve(job, out=job.out.resolve())
    here.out.mkdir(parents=True, exist_ok=True)
    cache = Path(job.named.get("cache") or default_folder()).resolve()
    return RemoteJob(job=here, cache=cache, sharing=sharing, data_roots=dict(data_roots or {}))


def confirmed(job: Job, ended: Ended) -> Ended:
    """Return ``ended``, or that it failed where a finished job's result is not seen here."""
    until = time.monotonic() + SIGHT
    while ended.status == "finished" and RESULT not in os.listdir(job.out):  # which reads it anew
        if time.monotonic() > until:
            told = f"no {RESULT} came to {job.out}. Choose an --out that all machines share."
            return Ended(job.id, "failed", told)
        time.sleep(0.1)
    return ended
