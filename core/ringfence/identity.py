"""Which run this is: every name and option, every version, every image, and a hash of it all."""

from __future__ import annotations

import platform
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import attrs
import cattrs

from ringfence import options, plugins, provenance
from ringfence.choice import Choice
from ringfence.experiment import Experiment
from ringfence.fingerprint import fingerprint
from ringfence.materials import Materials

LIBRARIES = ("ringfence", "torch", "torchvision", "numpy", "scipy", "scikit-learn", "pillow")
NAMES = ("dataset", "attack", "recovery", "defense", "metric", "oracle", "store")


def spec(
    choice: Choice,
    preferred: Mapping[str, Any],
    images: Materials,
    parts: Mapping[str, Any],
    selected: Mapping[str, Any],
) -> dict[str, Any]:
    """Return what the user selected, defaults filled in, as plain values.

    ``parts``: the other plugins of the run by their role; ``selected``: by their name.
    """
    named = {role: getattr(choice, role, None) or preferred.get(role) for role in parts}
    named |= {**images.names, "substitute": choice.substitute or named["model"]}
    used = {str(named[role]): part for role, part in parts.items()} | dict(selected)
    return {
        **{name: cattrs.unstructure(getattr(choice, name)) for name in NAMES},
        "model": named["model"],
        "substitute": named["substitute"],
        **images.names,
        "options": {name: _plain(options.of(part)) for name, part in used.items()},
        "versions": _versions(choice, images, named),
        "sources": provenance.sources(used),
        "marks": [*images.marks, *_marks(selected)],
    }


def identity(run: Experiment, order: Collection[str], skip: Collection[str] = ()) -> dict[str, Any]:
    """Return all that decides a result, and ``id``, a hash of it."""
    told: dict[str, Any] = {
        **run.spec,
        "order": list(order),
        "skip": sorted(skip),
        "recipe": attrs.asdict(run.recipe),
        "labels": run.labels,
        "budget": run.budget,
        "benign_clients": run.benign_clients,
        "attacker_clients": run.attacker_clients,
        "owner_queries": run.owner_queries,
        "seed": run.seed,
        "device": run.device,
        "threads": run.threads,
        "data": dict(run.data),
    }
    return {"id": fingerprint(told), **told}


def _marks(selected: Mapping[str, Any]) -> Iterator[str]:
    """Yield what plugins say of their own choices: their attribute ``marks``, if any."""
    for plugin in selected.values():
        yield from getattr(plugin, "marks", ())


def _plain(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return options as JSON holds them."""
    plain = {name: cattrs.unstructure(value) for name, value in given.items()}
    kinds = (bool, int, float, str, list, tuple, dict, type(None))
    return {n: value if isinstance(value, kinds) else repr(value) for n, value in plain.items()}


def _versions(choice: Choice, images: Materials, named: Mapping[str, Any]) -> dict[str, Any]:
    """Return the versions of Python, of libraries and of what brings the selected plugins."""
    found: dict[str, str | None] = {"python": platform.python_version()}
    found |= {name: provenance.version_of(name) for name in LIBRARIES}
    selected = {
        "defenses": choice.defense,
        "attacks": (choice.attack, *choice.recovery),
        "datasets": (choice.dataset, images.names["pool"], images.names["outliers"]),
        "models": (named["model"], named["substitute"]),
        "metrics": choice.metric,
        "oracles": (choice.oracle,),
        "stores": (choice.store,),
    }
    for kind, names in selected.items():
        installed = plugins.installed(kind)
        bases = [name.partition(":")[0] for name in names if name]
        dists = [installed[name].dist for name in bases if name in installed]
        found |= {dist.name: dist.version for dist in dists if dist}
    return found
