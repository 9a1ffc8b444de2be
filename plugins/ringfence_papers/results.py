"""Result files: those of the output folder by the run's place, others by what they say they are.

A result file may come from anybody: size-limited, plain JSON, never executed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import cattrs
from attrs import define, field

from ringfence import options, plugins
from ringfence.errors import RingfenceError
from ringfence.folder import RESULT
from ringfence.grid import ROLES, Planned
from ringfence.recipe import NAME as RECIPE
from ringfence_papers.cells import UNSAID

Result = Mapping[str, Any]
LARGEST = 64 * 2**20  #: bytes of one file; a .jsonl holds many results
FREE = {"data_root", "cache", "offline", "threads", "device", "options", "seed"}  #: not a method


@define(eq=False)
class Results:
    """What is finished: below ``out``, and in the files and folders ``places``."""

    out: Path | None
    places: Sequence[Path]
    _others: dict[str, list[tuple[str, Result]]] = field(factory=dict, init=False)
    _known: dict[str, tuple[str, Result] | None] = field(factory=dict, init=False)

    def __attrs_post_init__(self) -> None:
        """Read the places once, by attack and seed."""
        for file in _files(self.places):
            for result in _read(file):
                self._others.setdefault(_key(result["run"]), []).append((file.name, result))

    def of(self, folder: str, run: Planned) -> tuple[str, Result] | None:
        """Return file name and result of a planned run, if it is finished."""
        if run.id not in self._known:
            self._known[run.id] = self._find(folder, run)
        return self._known[run.id]

    def _find(self, folder: str, run: Planned) -> tuple[str, Result] | None:
        own = Path(folder, run.id, RESULT)
        if self.out and (self.out / own).exists():
            return str(own), next(_read(self.out / own))
        alike = self._others.get(_key(run.named), [])
        return next(((name, one) for name, one in alike if same(run.named, one["run"])), None)


def same(named: Mapping[str, Any], run: Mapping[str, Any]) -> bool:
    """Return whether a result's ``run`` is the planned one: names, figures and every option.

    Threads and device do not count; an option that the file does not know is younger than it.
    """
    for name, value in {**UNSAID, **_of_dataset(named), **named}.items():
        if (
            value is not None
            and name not in FREE
            and name in run
            and _ordered(name, run[name]) != _ordered(name, value)
        ):
            return False
    recorded, recipe = run.get("options", {}), run.get("recipe", {})
    trained = _plain(named.get("options", {}).get(RECIPE, {}))
    if any(recipe.get(name) != value for name, value in trained.items()):
        return False
    for kind, name in _plugins(named):
        given = json.dumps(_plain(named.get("options", {}).get(name, {})))
        own = recorded.get(name, {})
        if any(own.get(o, value) != value for o, value in _resolved(kind, name, given).items()):
            return False
    return True


def _of_dataset(named: Mapping[str, Any]) -> dict[str, Any]:
    """Return the names that a run has from its data set where it says none."""
    given = _defaults(str(named.get("dataset", UNSAID["dataset"])).partition(":")[0])
    model = named.get("model", given.get("model"))
    return {"pool": given.get("pool"), "model": model, "substitute": model}


@cache
def _defaults(dataset: str) -> Mapping[str, Any]:
    defaults: Mapping[str, Any] = getattr(
        plugins.load(plugins.find("datasets", dataset)), "defaults", {}
    )
    return defaults


def _ordered(name: str, value: Any) -> Any:
    """Return a value as JSON has it; the order of phases left out is nobody's choice."""
    return sorted(value) if name == "skip" else _plain(value)


def _plugins(named: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield kind and name of the plugins whose options make a run what it is."""
    for role in ("attack", "recovery", "defense", "model"):
        names = named.get(role) or []
        for name in [names] if isinstance(names, str) else names:
            yield ROLES[role], name.partition(":")[0]


@cache
def _resolved(kind: str, name: str, given: str) -> dict[str, Any]:
    return {
        option: _plain(cattrs.unstructure(value))
        for option, value in options.of(plugins.build(kind, name, json.loads(given))).items()
    }


def _plain(value: Any) -> Any:
    """Return a value as JSON gives it back."""
    return json.loads(json.dumps(value, default=str))


def _key(run: Mapping[str, Any]) -> str:
    return f"{run.get('attack')} {run.get('seed', 0)} {run.get('labels', 'soft')}"


def _files(places: Sequence[Path]) -> Iterator[Path]:
    for place in places:
        if not place.exists():
            raise RingfenceError(f"{place} is not there. Give result files, or folders of them.")
        yield from [place] if place.is_file() else _below(place)


def _below(folder: Path) -> list[Path]:
    return sorted([*folder.rglob(RESULT), *folder.rglob("*.jsonl"), *folder.glob("*.json")])


def _read(file: Path) -> Iterator[Result]:
    """Yield the results in a file; what is none is passed over in a folder."""
    if file.stat().st_size > LARGEST:
        raise RingfenceError(f"{file} is larger than {LARGEST >> 20} MiB: that is no result file.")
    text = file.read_text(encoding="utf-8")
    for line in text.splitlines() if file.suffix == ".jsonl" else [text]:
        try:
            result = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise RingfenceError(f"{file} cannot be read as results ({error}).") from error
        if isinstance(result, dict) and isinstance(result.get("run"), dict):
            yield result
