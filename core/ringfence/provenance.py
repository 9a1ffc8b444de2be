"""What made a model: plugins with their options and sources, files, versions."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Mapping
from functools import cache, partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from ringfence import options
from ringfence.errors import BrokenPlugin
from ringfence.fingerprint import fingerprint

#: modules of the core on which cached models rest
SOURCES = (
    "answers",
    "augment",
    "calibration",
    "confidence",
    "exposure",
    "images",
    "inference",
    "randomness",
    "recipe",
    "session",
    "splits",
    "training",
)


def identify(plugin: Any) -> list[Any] | None:
    """Return what made a plugin: class, options, the files they name, its package's source."""
    if plugin is None:
        return None
    cls, given = type(plugin), options.of(plugin)
    named = {str(v): _digest(Path(v)) for v in given.values() if _is_file(v)}
    return [f"{cls.__module__}.{cls.__qualname__}", given, named, _source(cls.__module__)]


def identify_trainer(plugin: Any) -> list[Any] | None:
    """Return what made a plugin that trains: its options are those in its ``trained_by``, if any.

    Without ``trained_by`` every option makes another victim.
    """
    told = identify(plugin)
    names = getattr(plugin, "trained_by", None)
    if told is None or names is None:
        return told
    cls, given, files, source = told
    if wrong := [name for name in names if name not in given]:
        raise BrokenPlugin(f"{cls}.trained_by names {wrong[0]!r}, which is none of its options.")
    kept = {name: given[name] for name in names}
    named = {str(value) for value in kept.values()}
    return [cls, kept, {file: files[file] for file in files if file in named}, source]


def sources(used: Mapping[str, Any]) -> dict[str, str | None]:
    """Return a hash of the code behind each plugin by its name, and of the core's training."""
    modules = {name: type(plugin).__module__ for name, plugin in used.items()}
    outside = {name: _source(m) for name, m in modules.items() if not m.startswith("ringfence.")}
    return {**outside, "ringfence": versions()["source"]}


def identify_factory(factory: Any) -> list[Any] | None:
    """Return what made a ``partial`` over a plugin: the plugin, and the plain values."""
    if not isinstance(factory, partial):
        return None
    *plain, plugin = factory.args
    return [plain, identify(plugin)]


@cache
def versions() -> dict[str, str | None]:
    """Return the versions of what every model depends on, and a hash of what trains it."""
    found = {name: version_of(name) for name in ("ringfence", "torch", "torchvision")}
    here = Path(__file__).parent
    texts = [(here / f"{name}.py").read_text(encoding="utf-8") for name in SOURCES]
    return {**found, "source": fingerprint(*texts)}


def version_of(distribution: str) -> str | None:
    """Return the installed version of a distribution."""
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None


@cache
def _source(module: str) -> str | None:
    """Return a hash of a package's Python files: a plugin that was edited is another plugin."""
    file = getattr(sys.modules.get(module.partition(".")[0]), "__file__", None)
    if file is None:  # typed at a prompt
        return None
    path = Path(file)
    files = sorted(path.parent.rglob("*.py")) if path.name == "__init__.py" else [path]
    return fingerprint(*[one.read_text(encoding="utf-8") for one in files])


def _is_file(value: Any) -> bool:
    return isinstance(value, (str, Path)) and os.path.isfile(value)


def _digest(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
