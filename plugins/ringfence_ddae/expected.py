"""The defenses that an attacker is told to expect, and what it is told of them."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping
from typing import Any

from attrs import frozen

from ringfence.errors import BadOption
from ringfence.fingerprint import fingerprint
from ringfence.options import SECRET, settable
from ringfence.plugins import build, find, load
from ringfence.provenance import identify


@frozen
class Expected:
    """One defense, by its name, and the options it is believed to have."""

    name: str
    options: Mapping[str, Any]
    code: str  #: a hash of what it is: its code, all its options


def require_known(names: Iterable[str]) -> None:
    """Refuse what is no installed defense, or changes no answers."""
    for name in names:
        cls = load(find("defenses", name.partition(":")[0]))
        if not hasattr(cls, "make_responder"):
            raise BadOption(f"{name!r} changes no answers: there is nothing to undo.")


def require_told(texts: Iterable[str]) -> None:
    """Refuse options that no installed defense has, and secrets: no attacker is told one."""
    for name, option, value in map(parse, texts):
        known = settable(load(find("defenses", name.partition(":")[0])))
        if option in known and known[option].metadata.get(SECRET):
            raise BadOption(f"'{name}.{option}' is the defender's secret: no attacker knows it.")
        build("defenses", name, {option: value})


def expected(names: tuple[str, ...], told: Iterable[str]) -> tuple[Expected, ...]:
    """Return the defenses ``names`` with their options.

    ``told`` may speak of others too. Raises a ``RingfenceError`` for options that cannot be.
    """
    options: dict[str, dict[str, Any]] = {name: {} for name in names}
    for text in told:
        name, option, value = parse(text)
        options.setdefault(name, {})[option] = value
    everyone = {
        name: Expected(name, given, fingerprint(identify(build("defenses", name, given))))
        for name, given in options.items()
    }
    return tuple(everyone[name] for name in names)


def parse(text: str) -> tuple[str, str, Any]:
    """Return plugin, option and value of ``NAME.FIELD=VALUE``; a value is Python, or text."""
    target, equals, value = text.partition("=")
    name, dot, option = target.partition(".")
    if not (name and dot and option and equals):
        raise ValueError(f"must hold NAME.FIELD=VALUE: {text!r}")
    try:
        return name, option, ast.literal_eval(value)
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return name, option, value
