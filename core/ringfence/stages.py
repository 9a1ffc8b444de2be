"""The stages of a run: what is finished is kept, and a killed run goes on behind it."""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from attrs import define, field

from ringfence import artifact

T = TypeVar("T")
log = logging.getLogger(__name__)


@define(eq=False)
class Stages:
    """Finished stages, each a folder below ``folder``; without a folder nothing is kept."""

    folder: Path | None = None
    device: str = "cpu"
    seconds: dict[str, float] = field(factory=dict, init=False)  #: by stage, restored ones too
    _redo: bool = field(default=False, init=False)  #: later stages rest on earlier ones

    def do(
        self, name: str, work: Callable[[], T], save: Callable[[T], Any], load: Callable[[Any], T]
    ) -> T:
        """Return what ``work`` makes, or what the finished stage ``name`` had made.

        ``save`` turns it into a tree for :mod:`ringfence.artifact`, or ``None`` where that
        cannot be; ``load`` turns it back.
        """
        kept = self._kept(name)
        if kept is not None:
            self.seconds[name] = kept["seconds"]
            return load(kept["value"])
        start = time.perf_counter()
        made = work()
        self.seconds[name] = time.perf_counter() - start
        if self.folder is not None:
            self._keep(self.folder / name, save(made), self.seconds[name])
        return made

    def _kept(self, name: str) -> Any:
        if self.folder is None or self._redo or not (self.folder / name).exists():
            self._redo = True
            return None
        try:
            return artifact.load(self.folder / name, self.device)
        except artifact.DamagedArtifact as error:
            log.warning("A finished stage is damaged and is done again: %s", error)
            self._redo = True
            return None

    def _keep(self, folder: Path, value: Any, seconds: float) -> None:
        if folder.is_dir():
            shutil.rmtree(folder)
        else:
            folder.unlink(missing_ok=True)
        if value is None:
            log.warning(
                "Stage %s cannot be gone on with: the substitute has an architecture of its own.",
                folder.name,
            )
            return
        artifact.save(folder, {"seconds": seconds, "value": value})
