"""Which run a result file tells of, as flat text: names, options, versions, hashes."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from typing import Any

NONE = "none"
#: what every run has, as ringfence.identity writes it: importing that would import torch
LIBRARIES = {
    "python",
    "ringfence",
    "torch",
    "torchvision",
    "numpy",
    "scipy",
    "scikit-learn",
    "pillow",
}
Result = Mapping[str, Any]


def joined(key: str) -> Callable[[Result], str]:
    """Return what joins the names that ``run`` holds under ``key``."""
    return lambda result: join(result["run"][key])


def join(names: Collection[str]) -> str:
    """Return names as one text, ``none`` for no name."""
    if not isinstance(names, (list, tuple)):
        raise TypeError("a list expected")
    return " + ".join(names) or NONE


def libraries(result: Result) -> str:
    """Return the versions of the libraries that every run has."""
    return _versions({k: v for k, v in result["run"]["versions"].items() if k in LIBRARIES})


def plugins(result: Result) -> str:
    """Return the versions of the distributions that bring the selected plugins."""
    return _versions({k: v for k, v in result["run"]["versions"].items() if k not in LIBRARIES})


def recipe(result: Result) -> str:
    """Return how the victim is trained."""
    return _text(result["run"]["recipe"])


def attack_options(result: Result) -> str:
    """Return the options of the attack and its recoveries, by name."""
    return _options(result, attackers(result["run"]))


def defense_options(result: Result) -> str:
    """Return the options of the defenses, by name."""
    return _options(result, result["run"]["defense"])


def other_options(result: Result) -> str:
    """Return the options of all else but the defender's images, by name."""
    run = result["run"]
    own = {*run["defense"], *attackers(run)}
    if run["outliers"] not in (run["dataset"], run["pool"]):
        own.add(run["outliers"])
    return _options(result, [name for name in run["options"] if name not in own])


def data_victim(result: Result) -> str:
    """Return the hashes of what the victim learns and is tested on."""
    return _hashes(result, ("train", "validation", "test"))


def data_attacker(result: Result) -> str:
    """Return the hashes of what the attacker may send."""
    return _hashes(result, ("pool", "seeds"))


def attackers(run: Mapping[str, Any]) -> list[str]:
    """Return the names of the attack and its recoveries."""
    return [run["attack"], *run["recovery"]]


def metrics(result: Result) -> str:
    """Return what each metric returned, as JSON."""
    return _text(dict(result["metrics"]))


def _options(result: Result, names: Collection[str]) -> str:
    given = result["run"]["options"]
    return _text({name: given[name] for name in names if name in given})


def _hashes(result: Result, parts: Collection[str]) -> str:
    return " ".join(str(result["run"]["data"][part]) for part in parts)


def _versions(found: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {version}" for name, version in sorted(found.items())) or NONE


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))
