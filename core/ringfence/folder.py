"""The output folder of a run: whose it is, its finished stages, its result."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
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
    def claimed(self, identity: Mapping[str, Any], patience: float = 0.0) -> Iterator[None]:
        """Hold the folder for the run ``identity``; refuse it if it is another run's.

        Another process that holds it has ``patience`` seconds to end.
        """
        with ExitStack() as stack:
            try:
                self.path.mkdir(parents=True, exist_ok=True)
                lock = FileLock(self.path / LOCK, timeout=patience)
                stack.enter_context(lock)  # free once killed
                sweep_up(self.path)
                self._refuse_other(identity["id"])
                write_text(self.path / RUN, text(identity))
            except Timeout:
                raise OtherRun(
                    f"Another process is running in {self.path}. Choose another --out."
                ) from None
            except OSError as error:
                raise RingfenceError(
                    f"{self.path} cannot be written ({error.strerror}). Choose another --out."
                ) from error
            yield

    def result(self, identity: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return the finished result of the run ``identity``, if there is one."""
        found = _read(self.path / RESULT)
        if found is not None and _id(found.get("run")) != identity["id"]:
            raise OtherRun(f"{self.path / RESULT} is not this run's. Choose another --out.")
        return found

    def finish(self, result: Mapping[str, Any]) -> None:
        """Write the result, whole or not at all."""
        write_text(self.path / RESULT, text(result))

    def stages(self, name: str, device: str) -> Stages:
        """Return the stages of the run, or of its baseline, ``name``."""
        return Stages(self.path / name, device)

    def _refuse_other(self, wanted: str) -> None:
        found = _read(self.path / RUN)
        if found is not None and _id(found) != wanted:
            raise OtherRun(
                f"{self.path} holds another run ({_id(found)}, not {wanted}), or one of other code "
                "or versions. Choose another --out, or remove it to begin again."
            )


def text(value: Mapping[str, Any]) -> str:
    """Return a result as it is written and printed: JSON, in which no number is NaN."""
    return json.dumps(value, indent=2, allow_nan=False) + "\n"


def _read(file: Path) -> dict[str, Any] | None:
    if not file.exists():
        return None
    try:
        read = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise OtherRun(f"{file} cannot be read ({error}). Choose another --out.") from error
    if not isinstance(read, dict):
        raise OtherRun(f"{file} is not what a run writes. Choose another --out.")
    return read


def _id(run: Any) -> Any:
    return run.get("id") if isinstance(run, dict) else None
