"""Where data lie, and how they get there.

A download is made in a folder of its own and moved into place once it is whole, so that no
later run takes half of it for data.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import platformdirs

from ringfence.errors import MissingData

VARIABLE = "RINGFENCE_DATA"
SILENCE = 10.0  #: seconds without a byte after which a download is given up


def data_root(root: Path | None) -> Path:
    """Return ``root``, else what ``RINGFENCE_DATA`` names, else the user's cache folder."""
    given = root or os.environ.get(VARIABLE)
    if given:
        return Path(given).expanduser()
    return Path(platformdirs.user_cache_dir("ringfence"), "data")


def obtain(
    name: str,
    root: Path | None,
    offline: bool,
    expected: Sequence[str],
    fetch: Callable[[Path], object],
) -> Path:
    """Return the data root once it holds every path in ``expected``.

    ``fetch`` downloads the set into the folder it is given.
    """
    folder = data_root(root)
    absent = [path for path in expected if not (folder / path).exists()]
    if not absent:
        return folder
    if offline:
        raise missing(name, folder, absent, "No download was tried, as --offline asks.")
    try:
        _download(folder, absent, fetch)
    except Exception as error:  # of sockets, archives, checksums or the disk
        reason = f"{type(error).__name__}: {' '.join(str(error).split())}"  # often of several lines
        raise missing(name, folder, absent, f"The download failed ({reason}).") from error
    return folder


def missing(name: str, folder: Path, expected: Sequence[str], tried: str) -> MissingData:
    """Return the error that says what was looked for, where, and what to do."""
    return MissingData(
        f"Data set {name!r} is not in {folder}: expected {', '.join(expected)}. {tried} "
        f"Put it there, or name the folder that holds it with --data-root or {VARIABLE}."
    )


def _download(folder: Path, absent: Sequence[str], fetch: Callable[[Path], object]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=folder, prefix=".download-") as staging, _impatient_sockets():
        fetch(Path(staging))
        for path in absent:
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            _move(Path(staging, path), folder / path)


def _move(source: Path, target: Path) -> None:
    try:
        source.replace(target)
    except OSError:
        if not target.is_dir():  # another process was faster, and brought the same folder
            raise


@contextmanager
def _impatient_sockets() -> Iterator[None]:
    """Give torchvision's downloads, which set no timeout, one of their own."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(SILENCE)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
