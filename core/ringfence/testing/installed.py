"""The contracts of everything that is installed, or that one distribution brings."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import chdir
from functools import partial
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

from attrs import frozen

from ringfence import hookspecs, plugins
from ringfence.errors import BrokenPlugin
from ringfence.testing.attacks import check_attack
from ringfence.testing.datasets import check_dataset
from ringfence.testing.detectors import check_detector
from ringfence.testing.executors import check_executor
from ringfence.testing.metrics import check_metric
from ringfence.testing.models import check_model
from ringfence.testing.recoveries import check_recovery
from ringfence.testing.responders import check_responder
from ringfence.testing.stores import check_store
from ringfence.testing.trainers import check_trainer
from ringfence.testing.verifiers import check_verifier

#: hook: what checks the strategy it makes
CHECKS: dict[str, Callable[..., None]] = {
    "make_trainer": check_trainer,
    "make_detector": check_detector,
    "make_responder": check_responder,
    "make_verifier": check_verifier,
    "make_attack": check_attack,
    "make_recovery": check_recovery,
}

#: kind of what is picked by name and has no hooks: what checks one
NAMED: dict[str, Callable[..., None]] = {
    "datasets": check_dataset,
    "models": check_model,
    "metrics": check_metric,
    "executors": check_executor,
    "stores": check_store,
}

IMPORT = "import"  #: stands for the contracts of a plugin that cannot be imported: all fail

Options = Mapping[str, Mapping[str, Any]]  #: of plugins, by their names


@frozen
class Contract:
    """One promise set that one plugin is to keep."""

    kind: str
    name: str
    what: str  #: the hook, or the kind again
    options: Mapping[str, Any]

    def __str__(self) -> str:
        """Return the name of its test."""
        return f"{self.name}-{self.what}"

    def check(self, folder: Path) -> None:
        """Build the plugin and check it in ``folder``, which is empty: some write files."""
        with chdir(folder):
            self._check(folder)

    def _check(self, folder: Path) -> None:
        if self.kind == "metrics":
            check_metric(plugins.load(plugins.find(self.kind, self.name)))
            return
        plugin = plugins.build(self.kind, self.name, self.options)
        if self.kind == "executors":
            check_executor(plugin, folder)
        else:
            (CHECKS | NAMED)[self.what](plugin)


def contracts(
    distribution: str | None = None, options: Options | None = None
) -> Iterator[Contract]:
    """Yield the contract of each phase of each plugin of a distribution, or of all."""
    for kind in (*hookspecs.HOOKED, *NAMED):
        for name, entry in sorted(plugins.installed(kind).items()):
            if distribution is None or _brings(entry, distribution):
                make = partial(Contract, kind, name, options=(options or {}).get(name, {}))
                yield from (make(what) for what in _filled(kind, entry))


def _brings(entry: EntryPoint, distribution: str) -> bool:
    return entry.dist is not None and _normal(entry.dist.name) == _normal(distribution)


def _normal(name: str) -> str:
    return name.lower().replace("_", "-").replace(".", "-")


def _filled(kind: str, entry: EntryPoint) -> list[str]:
    """Return the hooks that the plugin implements; of what has no hooks, its kind."""
    if kind in NAMED:
        return [kind]
    try:
        return sorted(CHECKS.keys() & set(dir(plugins.load(entry))))
    except BrokenPlugin:
        return [IMPORT]
