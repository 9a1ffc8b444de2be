"""Spec files: a run in TOML. ``[run]`` holds the run's options, ``[options.NAME]`` a plugin's.

Mistakes are told with file, line and key.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from attrs import frozen

from ringfence import options
from ringfence.choice import Choice
from ringfence.errors import BadSpec, RingfenceError, UnknownName

SIZE_LIMIT = 1 << 20  #: bytes
RUN_TABLES = ("run", "options")


@frozen
class Spec:
    """A spec file that was read and whose ``[run]`` is known to be right."""

    path: Path
    text: str
    run: Mapping[str, Any]  #: named like the fields of :class:`ringfence.choice.Choice`
    options: Mapping[str, Mapping[str, Any]]
    tables: Mapping[str, Any]  #: all there is in the file

    @contextmanager
    def blamed(self) -> Iterator[None]:
        """Put file and line before what a block says of one of this file's values."""
        try:
            yield
        except RingfenceError as error:
            if (line := self.line(error)) is None:
                raise
            raise BadSpec(f"{self.path}, line {line}: {error}") from error

    def line(self, error: RingfenceError) -> int | None:
        """Return the line to blame: it sets the option, or holds the unknown name."""
        if error.option is not None:
            name, _, key = error.option.rpartition(".")
            tables = (f"options.{name}", name) if name else ("run",)
            found = [_line(self.text, table, key) for table in tables]
            return next(filter(None, found), None) or _line(self.text, "grid", error.option)
        quoted = re.escape(getattr(error, "name", "\0"))
        for number, line in enumerate(self.text.splitlines(), start=1):
            if re.search(rf"[\"']{quoted}[\"']", line):
                return number
        return None


def toml(path: Path, kind: str = "spec file") -> tuple[str, dict[str, Any]]:
    """Return text and content of the file ``path``, which is to be a ``kind``."""
    try:
        with path.open("rb") as file:
            raw = file.read(SIZE_LIMIT + 1)
        if len(raw) > SIZE_LIMIT:
            raise BadSpec(f"{path} is larger than {SIZE_LIMIT} bytes: that is no {kind}.")
        text = raw.decode("utf-8-sig")
        return text, tomllib.loads(text)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        reason = getattr(error, "strerror", None) or error
        raise BadSpec(f"{path} cannot be read as a {kind}: {reason}.") from error


def read(path: Path, tables: Collection[str] = RUN_TABLES) -> Spec:
    """Return the spec in the file ``path``, which may hold ``tables``."""
    text, content = toml(path)
    _refuse_unknown_tables(path, text, content, tables)
    given = content.get("run", {})
    run = {key.replace("-", "_"): value for key, value in given.items()}
    if "options" in run or len(run) < len(given):
        line = _line(text, "run", "options") or _line(text, "run", "")
        raise BadSpec(
            f"{path}, line {line}: [run] names each option once, and a plugin's options stand in "
            "[options.NAME]."
        )
    spec = Spec(path, text, run, content.get("options", {}), content)
    with spec.blamed():
        options.check(options.RUN, Choice, run)
    return spec


def _refuse_unknown_tables(
    path: Path, text: str, content: Mapping[str, Any], tables: Collection[str]
) -> None:
    for name, table in content.items():
        line = _line(text, name, "") or _line(text, "", name)
        if name not in tables:
            raise BadSpec(f"{path}, line {line}: {UnknownName('table', name, tables)}")
        wanted, how = (list, f"[[{name}]]") if name == "exclude" else (dict, f"[{name}]")
        if not isinstance(table, wanted):
            raise BadSpec(f"{path}, line {line}: {name!r} is a table: write {how}.")
    for name, table in content.get("options", {}).items():
        if not isinstance(table, dict):
            line = _line(text, "options", name)
            raise BadSpec(f"{path}, line {line}: write a plugin's options as [options.{name}].")


def _line(text: str, table: str, key: str) -> int | None:
    """Return the line that sets ``key`` in ``table``; tomllib does not tell. "": its header."""
    current = ""
    for number, line in enumerate(text.splitlines(), start=1):
        if header := re.match(r"\s*\[+\s*([^\]]+?)\s*\]+", line):
            current = re.sub(r"[\s\"']", "", header[1])
            if current == table and not key:
                return number
        found = re.match(r"\s*[\"']?([\w.-]+)[\"']?\s*=", line)
        if found and current == table and found[1].replace("-", "_") == key.replace("-", "_"):
            return number
    return None
