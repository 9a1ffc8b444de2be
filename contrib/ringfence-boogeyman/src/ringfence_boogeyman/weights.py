"""Where a file of weights lies: as it is named, or below the data root.

So that a sweep that a package ships needs to know no folder of anybody's machine.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from ringfence_boogeyman.datasets.layout import data_root


def located(pretrained: str) -> str:
    """Return the path of the file that ``pretrained`` names below the data root, else itself.

    What is a file from the current folder stays as it is, and so does the name of weights.
    """
    below = data_root(None) / pretrained
    if not Path(pretrained).is_file() and below.is_file():
        return str(below)
    return pretrained


def digest(pretrained: str) -> str:
    """Return a hash of the file, or the name: other weights, other features."""
    path = Path(located(pretrained))
    if not path.is_file():
        return pretrained
    with path.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
