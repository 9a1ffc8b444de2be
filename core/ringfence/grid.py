"""A sweep file: fixed values, a grid whose product is run, and what is left out and why.

``[run]`` and ``[options.NAME]`` as in a spec file of one run; ``[grid]`` holds lists under the
same names, or under ``"NAME.FIELD"``; ``[[exclude]]`` holds values that together are left out,
and ``why``; ``[resources]`` what one run needs.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from attrs import field, frozen

from ringfence import options, plugins, recipe, spec
from ringfence.choice import Choice
from ringfence.defaults import OWN_POOLS
from ringfence.errors import BadSpec, UnknownName
from ringfence.fingerprint import fingerprint
from ringfence.jobs import Resources

TABLES = (*spec.RUN_TABLES, "grid", "exclude", "resources")
#: option of a run: the kind of plugin that it names
ROLES = {
    "attack": "attacks",
    "recovery": "attacks",
    "defense": "defenses",
    "dataset": "datasets",
    "pool": "datasets",
    "outliers": "datasets",
    "model": "models",
    "substitute": "models",
    "oracle": "oracles",
    "store": "stores",
}
Values = Mapping[str, Any]  #: by the name of a run's option, or NAME.FIELD
Options = Mapping[str, Mapping[str, Any]]


@frozen
class Planned:
    """One run of a sweep."""

    named: Mapping[str, Any]  #: fields of :class:`ringfence.choice.Choice`, as they were given
    point: Values  #: where in the grid it lies
    id: str = field(init=False)

    @id.default
    def _hash(self) -> str:
        return fingerprint(dict(self.named))


@frozen
class Exclusion:
    """Values that together are left out."""

    values: Values
    why: str

    def covers(self, point: Values) -> bool:
        """Return whether ``point`` has all the values."""
        return all(point.get(name) == value for name, value in self.values.items())


@frozen
class Plan:
    """The runs of a sweep in the order of the grid, and those left out."""

    runs: tuple[Planned, ...]
    excluded: tuple[tuple[Values, str], ...]  #: point, reason
    resources: Resources
    source: spec.Spec


def read(path: Path) -> Plan:
    """Return the plan in the file ``path``; mistakes are told with file and line."""
    found = spec.read(path, TABLES)
    tables = found.tables
    with found.blamed():
        given = options.check("resources", Resources, tables.get("resources", {}))
        exclusions = [_exclusion(path, table) for table in tables.get("exclude", [])]
        points = list(_points(tables.get("grid", {})))
    resources = Resources(**given)
    fixed = {"threads": resources.cpus, **found.run}
    kept, excluded, public = [], [], cache(_public)
    for point in points:
        whole = {**fixed, **point}
        reason = next((one.why for one in exclusions if one.covers(whole)), None)
        if reason is None:
            kept.append(point)
        else:
            excluded.append((_shown(point, public), reason))
    runs = _planned(fixed, found.options, kept, public)
    with found.blamed():
        _refuse_unknown(runs)
    return Plan(runs, tuple(excluded), resources, found)


def _points(grid: Values) -> Iterator[Values]:
    """Yield every point of the grid; the last name varies fastest."""
    grid = {_field(name): values for name, values in grid.items()}
    for name, values in grid.items():
        if not (isinstance(values, list) and values):
            raise BadSpec(f"[grid] holds lists of values: {name} = [...].", option=name)
        for value in values:
            _check(name, value)
    for values in itertools.product(*grid.values()):
        yield dict(zip(grid, values, strict=True))


def _planned(
    fixed: Values, given: Options, points: list[Values], public: Callable[[str, str], Any]
) -> tuple[Planned, ...]:
    """Return the runs at ``points``, each once: options of what a point leaves out do not count."""
    anywhere = {name for point in points for name in _selected({**fixed, **point})}
    runs: dict[str, Planned] = {}
    for point in points:
        own = {name: value for name, value in point.items() if "." not in name}
        left_out = anywhere - _selected({**fixed, **own})
        merged = _merged(given, point)
        kept = {name: values for name, values in merged.items() if name not in left_out}
        run = Planned({**fixed, **own, "options": kept}, _shown(point, public))
        runs.setdefault(run.id, run)
    return tuple(runs.values())


def _refuse_unknown(runs: tuple[Planned, ...]) -> None:
    """Refuse names that no installed plugin has, without importing any; each is looked up once."""
    named = {(r, n): None for run in runs for r in ROLES for n in _names(run.named.get(r))}
    for role, name in named:
        if not (role == "pool" and name in OWN_POOLS):
            plugins.find(ROLES[role], name)
    known = {recipe.NAME, *(name for kind in plugins.KINDS for name in plugins.installed(kind))}
    for name in dict.fromkeys(name for run in runs for name in run.named["options"]):
        if name not in known:
            raise UnknownName("plugin", name, known, option=f"{name}.")


def _names(value: Any) -> list[str]:
    """Return the names in one name or several, without what stands behind a colon."""
    several = [value] if isinstance(value, str) else value or []
    return [name.partition(":")[0] for name in several]


def _merged(given: Options, point: Values) -> dict[str, dict[str, Any]]:
    """Return the options of plugins, those of the point winning."""
    merged = {name: dict(values) for name, values in given.items()}
    for name, value in point.items():
        plugin, dot, option = name.partition(".")
        if dot:
            merged.setdefault(plugin, {})[option] = value
    return merged


def _shown(point: Values, public: Callable[[str, str], Any]) -> Values:
    """Return a point as files and tables may tell it, without secrets."""
    text = {name for name, value in point.items() if "." in name and isinstance(value, str)}
    return {name: public(name, value) if name in text else value for name, value in point.items()}


def _public(name: str, value: str) -> Any:
    """Return the text of a plugin's option, or the digest of a secret; the plugin is imported."""
    told: Any = value
    plugin, _, option = name.partition(".")
    for kind in plugins.KINDS:
        entry = plugins.installed(kind).get(plugin)
        fields = options.settable(plugins.load(entry)) if entry else {}
        told = options.told(fields[option], told) if option in fields else told
    return told


def _selected(named: Values) -> set[str]:
    """Return the names of plugins that are selected in so many words."""
    return {name for role in ROLES for name in _names(named.get(role))}


def _exclusion(path: Path, table: Values) -> Exclusion:
    values = {_field(name): value for name, value in table.items() if name != "why"}
    if not (values and isinstance(table.get("why"), str)):
        raise BadSpec(f'{path}: [[exclude]] needs values and a reason, why = "...".')
    for name, value in values.items():
        _check(name, value)
    return Exclusion(values, table["why"])


def _check(name: str, value: Any) -> None:
    """Refuse a value of the run that has the wrong name or type; plugins check their own."""
    if "." not in name:
        options.check(options.RUN, Choice, {name: value})


def _field(name: str) -> str:
    """Return the name of a run's option as Python has it."""
    return name if "." in name else name.replace("-", "_")
