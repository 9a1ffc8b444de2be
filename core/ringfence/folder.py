"""The output folder of a run: whose it is, its finished stages, its result."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from attrs import frozen
from filelock import FileLock, Timeout

from ringfence.atomic import sweep_up, write_text
from ringfence.errors import OtherRun, RingfenceError
from ringfence.stages import Stages

RUN, RESULT, LOCK = "run.json", "result.json", ".lock"


@frozen
class RunFolder:
    """A folder that holds one run and no other."""

    path: Path

    @contextmanager
    def claimed(self, identity: Mapping[str, Any]) -> Iterator[None]:
        """Hold the folder for the run ``identity``; refuse it if it is another run's."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            with FileLock(self.path / LOCK, timeout=0):  # a killed process leaves it free
                sweep_up(self.path)
                self._refuse_other(identity["id"])
                write_text(self.path / RUN, _text(identity))
                yield
        except Timeout:
            raise OtherRun(
                f"Another process is running in {self.path}. Choose another --out."
            ) from None
        except OSError as error:
            if error.filename is None or not _below(Path(error.filename), self.path):
                raise
            raise RingfenceError(
                f"{self.path} cannot be written ({error.strerror}). Choose another --out."
            ) from error

    def result(self) -> dict[str, Any] | None:
        """Return the finished result, if there is one."""
        return _read(self.path / RESULT)

    def finish(self, result: Mapping[str, Any]) -> None:
        """Write the result, whole or not at all."""
        write_text(self.path / RESULT, _text(result))

    def stages(self, name: str, device: str) -> Stages:
        """Return the stages of the run, or of its baseline, ``name``."""
        return Stages(self.path / name, device)

    def _refuse_other(self, wanted: str) -> None:
        found = _read(self.path / RUN)
        if found is not None and found["id"] != wanted:
            raise OtherRun(
                f"{self.path} holds another run ({found['id']}, not {wanted}). "
                "Choose another --out."
            )


def _read(file: Path) -> dict[str, Any] | None:
    if not file.exists():
        return None
    try:
        read: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise OtherRun(f"{file} cannot be read ({error}). Choose another --out.") from error
    return read


def _text(value: Mapping[str, Any]) -> str:
    return json.dumps(value, indent=2, allow_nan=False) + "\n"


def _below(file: Path, folder: Path) -> bool:
    return folder == file or folder in file.parents or file in folder.parents
