"""A job for another machine, with what it must know there: folders, the cache, where data lie.

It is sent as a pickle between processes of one user. Nothing here imports torch: the process that
receives a job only waits for the one that does it.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from contextlib import chdir, nullcontext
from pathlib import Path
from typing import Literal

from attrs import evolve, field, frozen

from ringfence.jobs import Ended, Job
from ringfence.process import Running, finish
from ringfence.source import CACHE, SOURCE

PATIENCE = 60.0  #: seconds that an attempt given up for lost has to let go of its folder

#: shared: every machine uses the sender's cache; copied: each has its own, and copies
Sharing = Literal["shared", "copied"]


@frozen(kw_only=True)
class RemoteJob:
    """One job; done twice, even at once, it leaves one result."""

    job: Job  #: its folder is absolute
    cache: Path  #: the sender's, absolute
    sharing: Sharing = "shared"
    data_roots: Mapping[str, str] = field(factory=dict)  #: where data sets lie, by host
    folder: Path = field(factory=Path.cwd)  #: names of files are relative to it

    def run(self) -> Ended:
        """Do it on this machine, and return how it ended."""
        host = socket.gethostname()
        if not self.job.out.is_dir():
            told = f"{host} sees no folder {self.job.out}. Choose an --out that all machines share."
            return Ended(self.job.id, "failed", told)
        with chdir(self.folder) if self.folder.is_dir() else nullcontext():
            return finish(Running(self.placed(host), self.environment(), PATIENCE))

    def placed(self, host: str) -> Job:
        """Return the job as ``host`` does it; none of what differs changes a result."""
        named = {name: value for name, value in self.job.named.items() if name != "cache"}
        if root := self.data_roots.get(host):
            named["data_root"] = root
        return evolve(self.job, named=named)

    def environment(self) -> dict[str, str]:
        """Return the variables of the process that does it."""
        told = {CACHE if self.sharing == "shared" else SOURCE: str(self.cache)}
        # a forkserver has those of the first job, and GPUs are given out anew for each
        return told | {n: os.environ[n] for n in ("CUDA_VISIBLE_DEVICES",) if n in os.environ}
