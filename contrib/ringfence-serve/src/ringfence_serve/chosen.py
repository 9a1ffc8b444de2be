"""The choice that made a finished run, from what the run wrote down."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cattrs

from ringfence import options, plugins, recipe
from ringfence.errors import BadEvidence, BadOption

Options = Mapping[str, Mapping[str, Any]]
#: where a name of a run is looked up
KINDS = {"defense": "defenses", "attack": "attacks", "recovery": "attacks", "dataset": "datasets"}
KINDS |= {"model": "models", "substitute": "models", "pool": "datasets", "outliers": "datasets"}
#: values of a run that are taken over as they are
TAKEN = ("labels", "budget", "benign_clients", "attacker_clients", "seed", "device", "threads")


def read(file: Path) -> dict[str, Any]:
    """Return what a run wrote into ``file``."""
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadEvidence(
            f"{file} cannot be read ({error}). Give the folder of a run that was made with --out."
        ) from error
    if not isinstance(found, dict):
        raise BadEvidence(f"{file} is not what a run writes.")
    return found


def named(told: Mapping[str, Any], own: Options) -> dict[str, Any]:
    """Return the fields of the choice that made a run."""
    named = {name: told[name] for name in (*TAKEN, *KINDS, "skip") if told.get(name) is not None}
    given = {recipe.NAME: told["recipe"]}
    for role, kind in KINDS.items():
        for name in _names(told.get(role)):
            base = name.partition(":")[0]
            if base in plugins.installed(kind) and base in told["options"]:
                given[base] = _chosen(kind, base, told["options"][base], own.get(base, {}))
    merged = {
        name: {**values, **own.get(name, {})}
        for name, values in (given | own_only(own, given)).items()
    }
    return {**named, "options": {name: values for name, values in merged.items() if values}}


def own_only(own: Options, given: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the options of plugins that the run did not mention."""
    return {name: dict(values) for name, values in own.items() if name not in given}


def _names(value: Any) -> list[str]:
    return [] if value is None else [value] if isinstance(value, str) else list(value)


def _chosen(
    kind: str, name: str, told: Mapping[str, Any], own: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the options of a run that are not defaults; a secret must be given again."""
    fields = options.settable(plugins.load(plugins.find(kind, name)))
    chosen = {}
    for option, value in told.items():
        field = fields.get(option)
        if field is None or option in own:
            continue
        if field.metadata.get(options.SECRET):
            if value is not None:
                raise BadOption(
                    f"The run had a secret {name}.{option}, which no result holds. Give it again: "
                    f"-o {name}.{option}=...",
                    option=f"{name}.{option}",
                )
            continue
        if value != cattrs.unstructure(options.describe(option, field)["default"]):
            chosen[option] = value
    return chosen
