"""How much memory a process took."""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path

STATUS = Path("/proc/self/status")


def peak_memory() -> float | None:
    """Return the most memory that this process has held at once, in MiB; none where unknown."""
    with suppress(OSError):  # on Linux ru_maxrss remembers the process that started this one
        (line,) = (n for n in STATUS.read_text().splitlines() if n.startswith("VmHWM"))
        return int(line.split()[1]) / 1024
    try:
        import resource
    except ImportError:  # Windows
        return None
    unit = 1 if sys.platform == "darwin" else 1024  # bytes there, KiB elsewhere
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20
