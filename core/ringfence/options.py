"""A plugin's options: the fields of its attrs class, checked strictly and named in errors.

A field with ``metadata={"secret": True}`` holds a secret, or a ``Path`` to one: its value is
told to nobody, and recorded as the beginning of a digest.
"""

from __future__ import annotations

import hashlib
import math
import re
import sys
import types
import typing
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import attrs
import cattrs

from ringfence.errors import BadOption, UnknownName

RUN = "run"  #: the name under which the options of a run itself are checked
SECRET = "secret"  #: the metadata of a field that is told to nobody
SHOWN = 12  #: hex digits of a secret's digest: they tell two keys apart

converter = cattrs.Converter(forbid_extra_keys=True)


def _strict(kind: type, *accepted: type) -> None:
    """Refuse what cattrs would coerce: "5" for 5, 5 for "5", and a flag for a number."""

    def structure(value: Any, _: Any) -> Any:
        if type(value) not in accepted:
            raise TypeError(f"must be of type {kind.__name__}: {value!r}")
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError(f"must be finite: {value!r}")
        return kind(value)

    converter.register_structure_hook(kind, structure)


_strict(int, int)
_strict(float, float, int)
_strict(str, str)
_strict(bool, bool)


def instantiate(name: str, cls: type, given: Mapping[str, Any]) -> Any:
    """Return ``cls(**given)`` for the plugin ``name``; a wrong option is an error that names it."""
    values = check(name, cls, given)
    try:
        return cls(**values)
    except (TypeError, ValueError) as error:
        raise BadOption(f"Plugin {name!r} refused its options: {error.args[0]}") from error


def check(name: str, cls: type, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values in ``given`` as the types of the fields of ``cls``."""
    fields = settable(cls)
    for option in given:
        if option not in fields:
            blamed = _blamed(name, option)
            raise UnknownName(f"option of {name}", option, fields, option=blamed)
    return {option: _checked(name, cls, fields[option], value) for option, value in given.items()}


def settable(cls: type) -> dict[str, attrs.Attribute[Any]]:
    """Return the fields that a user may set, by the names under which they are set."""
    fields = attrs.fields(cls) if attrs.has(cls) else ()  # a metric is a function
    return {str(field.alias): field for field in fields if field.init}


def of(plugin: Any) -> dict[str, Any]:
    """Return the options of an instance, by name, as they may be recorded."""
    return {
        name: told(field, getattr(plugin, field.name))
        for name, field in settable(type(plugin)).items()
    }


def told(field: attrs.Attribute[Any], value: Any) -> Any:
    """Return an option's value; of a secret only the beginning of a digest."""
    if value is None or not field.metadata.get(SECRET):
        return value
    if isinstance(value, Path):
        raw = value.read_bytes() if value.is_file() else b""
    else:
        raw = value if isinstance(value, bytes) else str(value).encode()
    return f"sha256:{hashlib.sha256(b'ringfence option' + raw).hexdigest()[:SHOWN]}"


def describe(name: str, field: attrs.Attribute[Any]) -> dict[str, Any]:
    """Return an option's name, type, default and meaning as text."""
    required = field.default is attrs.NOTHING
    default = None if required else _default(field.default)
    kind = field.type if isinstance(field.type, str) else getattr(field.type, "__name__", "")
    meaning = field.metadata.get("help", "")
    told = {"name": name, "type": kind, "required": required, "default": default}
    return {**told, "meaning": meaning}


def _default(default: Any) -> Any:
    return default.factory() if isinstance(default, attrs.Factory) else default  # type: ignore[arg-type]


def _checked(name: str, cls: type, field: attrs.Attribute[Any], value: Any) -> Any:
    """Return ``value`` as the field's type, or blame this one option."""
    kind, option = _type(cls, field), _blamed(name, str(field.alias))
    choices = _choices(kind)
    if choices and value not in choices:
        raise UnknownName(
            option, str(value), [str(one) for one in choices if one is not None], option=option
        )
    if typing.get_origin(kind) is tuple and isinstance(value, str):
        value = value.split(",")  # else cattrs takes every letter for an item
    try:
        checked = converter.structure(value, kind)
        if field.validator:
            with suppress(AttributeError):  # it looks at other options: attrs asks it with all
                field.validator(None, field, checked)
    except Exception as error:
        if field.metadata.get(SECRET):  # nor does the traceback tell it
            raise BadOption(f"Option {option} {_hidden(error, value)}.", option=option) from None
        raise BadOption(f"Option {option} {_reason(error, kind)}.", option=option) from error
    return checked


def _choices(kind: Any) -> tuple[Any, ...]:
    """Return the values that a Literal allows, with None where the option may be left out."""
    parts = (kind,)
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        parts = typing.get_args(kind)
    known = [typing.get_args(part) for part in parts if typing.get_origin(part) is typing.Literal]
    nothing = [(None,) for part in parts if part is types.NoneType]
    return sum(known + nothing, ()) if known and len(known + nothing) == len(parts) else ()


def _blamed(name: str, option: str) -> str:
    """Return an option's full name; those of the run itself stand alone."""
    return option if name == RUN else f"{name}.{option}"


def _type(cls: type, field: attrs.Attribute[Any]) -> Any:
    """Return the field's type; annotations are text under ``from __future__ import``."""
    if not isinstance(field.type, str):
        return field.type or Any
    try:
        return eval(field.type, vars(sys.modules[cls.__module__]) | {"ClassVar": typing.ClassVar})
    except NameError:
        return Any


def _hidden(error: Exception, value: Any) -> str:
    """Return what is wrong with a secret: what its plugin says of it, never what it is."""
    if isinstance(error, BadOption):
        return _without_name(str(error))
    quoted = "" if isinstance(value, str) else "; quote a number twice to make it text"
    return f"was refused, and is not shown{quoted}"


def _reason(error: Exception, kind: Any) -> str:
    if isinstance(error, (TypeError, ValueError)) and isinstance(error.args[0], str):
        return _without_name(error.args[0])
    shown = str(kind) if isinstance(kind, types.GenericAlias) else getattr(kind, "__name__", kind)
    return f"is not a {shown}"


def _without_name(message: str) -> str:
    """Return what attrs says of a field, without the name it begins with."""
    return re.sub(r"^'\w+' ", "", message)
