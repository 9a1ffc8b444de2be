"""Write the package of a new plugin, which works and passes its tests as it is written."""

from __future__ import annotations

import keyword
import re
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from string import Template

from ringfence import plugins
from ringfence.atomic import new_folder
from ringfence.errors import BadOption, DuplicateName, RingfenceError

#: what a template makes: the group of entry points it belongs to
KINDS = {
    "trainer": "defenses",
    "detector": "defenses",
    "responder": "defenses",
    "verifier": "defenses",
    "attack": "attacks",
    "recovery": "attacks",
    "dataset": "datasets",
    "model": "models",
    "metric": "metrics",
}
_NAME = re.compile(r"[a-z][a-z0-9]{0,31}")

#: file of the new package: template it is made from
_LAYOUT = {
    "pyproject.toml": "pyproject.toml",
    "README.md": "README.md",
    "src/$package/__init__.py": "$kind.py",
    "src/$package/py.typed": None,
    "tests/test_contracts.py": "test_contracts.py",
}


def write(kind: str, name: str, parent: Path) -> Path:
    """Write the package ``ringfence-NAME`` below ``parent``; it appears whole or not at all.

    Raises where the name is not one, is taken, or the folder is there.
    """
    _refuse(kind, name)
    folder = parent / f"ringfence-{name}"
    if folder.exists():
        raise RingfenceError(f"{folder} exists. Choose another name, or another --into.")
    words = _words(kind, name)
    with new_folder(folder) as draft:
        for path, template in _LAYOUT.items():
            file = draft / Template(path).substitute(words)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(_filled(template, words) if template else "", encoding="utf-8")
    return folder


def _refuse(kind: str, name: str) -> None:
    if not _NAME.fullmatch(name) or {name, name.capitalize()} & {*keyword.kwlist}:
        raise BadOption(
            f"{name!r} cannot be the name of a plugin: one lower-case word of letters and digits, "
            "without dashes, at most 32, and no word of Python's. Users type it."
        )
    if known := plugins.installed(KINDS[kind]).get(name):
        raise DuplicateName(
            f"{name!r} is taken by {plugins.origin(known)}. Choose another name: two plugins of "
            "one kind cannot have the same."
        )


def _words(kind: str, name: str) -> dict[str, str]:
    """Return what stands for each $word of a template."""
    major, minor, *_ = version("ringfence").split(".")
    upper = f"{major}.{int(minor) + 1}" if major == "0" else str(int(major) + 1)
    return {
        "kind": kind,
        "group": KINDS[kind],
        "name": name,
        "package": f"ringfence_{name}",
        "distribution": f"ringfence-{name}",
        "object": name if kind == "metric" else name.capitalize(),
        "requires": f"ringfence>={major}.{minor},<{upper}",
        "try": _TRY[KINDS[kind]].format(name=name, kind=kind),
    }


def _filled(template: str, words: dict[str, str]) -> str:
    source = files("ringfence") / "templates" / f"{Template(template).substitute(words)}.txt"
    return Template(source.read_text(encoding="utf-8")).substitute(words)


#: group: the command that tries a plugin
_TRY = {
    "defenses": "ringfence run --attack knockoffnet --defense {name}",
    "attacks": "ringfence run --{kind} {name}",
    "datasets": "ringfence run --dataset {name} --attack knockoffnet",
    "models": "ringfence run --model {name} --attack knockoffnet",
    "metrics": "ringfence run --attack knockoffnet --metric {name} --json",
}
