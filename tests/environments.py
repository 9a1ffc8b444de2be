"""Fresh environments for tests of what is installed."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import venv


def fresh_environment(folder, *packages):
    """Return the Python of a new environment: our libraries, and ``packages`` by pip."""
    venv.create(folder)
    python = folder / "bin" / "python"
    [own] = (folder / "lib").glob("*/site-packages")
    ours = sysconfig.get_path("purelib")  # and what its own .pth files add: an editable install
    (own / "ours.pth").write_text(f"import site; site.addsitedir({ours!r})\n")
    pip = [sys.executable, "-m", "pip", "--python", python, "install", "-q", "--no-deps"]
    subprocess.run([*map(str, pip), *map(str, packages)], check=True)
    return python


def outcome_of_tests(python, folder, *arguments):
    """Run pytest in ``folder`` as a stranger would; return its exit code and what it said."""
    stranger = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST")}
    command = [python, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments]
    done = subprocess.run(
        command, cwd=folder, env=stranger, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout + done.stderr
