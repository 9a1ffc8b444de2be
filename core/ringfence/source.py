"""Entries of a cache that several machines copy, and add to, in a folder that they all see.

There are no locks, which may not reach from one machine to the next: two of them may make the
same entry at once, and the first one there is kept.
"""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

from attrs import frozen

from ringfence.atomic import new_folder

CACHE = "RINGFENCE_CACHE"  #: variable: the folder of a machine's cache
SOURCE = "RINGFENCE_CACHE_SOURCE"  #: variable: the folder of the cache that it copies
log = logging.getLogger(__name__)


@frozen
class Source:
    """The folder; that it cannot be read or written costs time, and no run."""

    path: Path

    def take(self, entry: Path) -> bool:
        """Copy what is called like ``entry`` there; return whether it was there."""
        there = self.path / entry.name
        try:
            if there.exists():
                _copy(there, entry)
        except OSError as error:
            log.warning("Cache entry %s cannot be copied: %s", there, error.strerror or error)
        return entry.exists()

    def give(self, entry: Path) -> None:
        """Copy ``entry`` to the folder."""
        try:
            _copy(entry, self.path / entry.name)
        except OSError as error:
            log.warning("Nothing can be added to cache %s: %s", self.path, error.strerror or error)


def _copy(entry: Path, to: Path) -> None:
    with new_folder(to) as draft:
        shutil.copytree(entry, draft, dirs_exist_ok=True)
