"""A paper's tables: a folder with one TOML file each, their sweeps, and the paper's setting."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attrs import field, frozen

from ringfence import plugins
from ringfence.errors import UnknownName
from ringfence_papers.table import Table, read

KIND = "studies"
SETTING = "setting.toml"


@frozen
class Setting:
    """What the paper used with one data set, and what stands for it here."""

    run: Mapping[str, Any] = field(factory=dict)  #: options of every run on this data set
    paper_model: str | None = None  #: where another one is used here, it is marked
    budget: Mapping[str, int] = field(factory=dict)  #: by attack


@frozen
class Settings:
    """The data sets of a paper; the first is the one that is run when none is named."""

    title: str
    dataset: Mapping[str, Setting]


@frozen
class Study:
    """A paper whose tables are at hand."""

    name: str
    folder: Path
    settings: Settings

    @property
    def tables(self) -> list[str]:
        """The names of its tables, numbers in their order."""
        names = [file.stem for file in self.folder.glob("*.toml") if file.name != SETTING]
        return sorted(names, key=lambda name: (name.rstrip("0123456789"), len(name), name))

    def table(self, name: str) -> Table:
        """Return the table ``name``, such as ``table3``."""
        if name not in self.tables:
            raise UnknownName(f"table of {self.name}", name, self.tables)
        table: Table = read(self.folder / f"{name}.toml")
        return table

    def sweep(self, name: str) -> Path:
        """Return the file of a sweep."""
        return self.folder / "sweeps" / f"{name}.toml"

    def setting(self, dataset: str) -> Setting:
        """Return what holds for one data set."""
        if dataset not in self.settings.dataset:
            raise UnknownName(f"data set of {self.name}", dataset, self.settings.dataset)
        return self.settings.dataset[dataset]


def find(name: str) -> Study:
    """Return the study called ``name``: an entry point to a class with the attribute ``folder``."""
    folder = Path(plugins.build(KIND, name).folder)
    settings: Settings = read(folder / SETTING, Settings)
    return Study(name, folder, settings)
