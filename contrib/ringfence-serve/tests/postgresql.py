"""A PostgreSQL server for tests, in a folder of its own, that listens on no network."""

from __future__ import annotations

import getpass
import os
import shutil
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa
from attrs import define, field

DEBIAN = "/usr/lib/postgresql"  #: where Debian keeps the programs of each version


def programs():
    """Return the folder of ``initdb`` and ``pg_ctl``; skip where there is none."""
    pytest.importorskip("psycopg", reason="pip install 'ringfence-serve[postgresql]'")
    found = [Path(path).parent for path in [shutil.which("initdb")] if path]
    found += sorted(Path(DEBIAN).glob("*/bin"))
    if not found:
        pytest.skip("PostgreSQL is not installed (Debian: apt install postgresql)")
    return found[-1]


@define
class Server:
    """A server with as many databases as are asked for."""

    programs: Path
    folder: Path
    user: str | None
    _made: int = field(default=0, init=False)

    def call(self, program, *args):
        subprocess.run(
            [self.programs / program, *args],
            cwd=self.folder,
            user=self.user,
            check=True,
            capture_output=True,
        )

    def start(self):
        options = f"-c listen_addresses= -k {self.folder}"
        data = str(self.folder / "data")
        self.call(
            "pg_ctl", "start", "-w", "-D", data, "-o", options, "-l", str(self.folder / "log")
        )

    def stop(self, mode="fast"):
        self.call("pg_ctl", "stop", "-w", "-m", mode, "-D", str(self.folder / "data"))

    def url(self, name):
        return f"postgresql+psycopg://ringfence@/{name}?host={self.folder}"

    def database(self):
        """Return the URL of a new database."""
        self._made += 1
        name = f"store{self._made}"
        engine = sa.create_engine(self.url("postgres"), isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.exec_driver_sql(f"create database {name}")
        engine.dispose()
        return self.url(name)


@contextmanager
def running():
    """Yield a server; it refuses to run as root, so that root lends it to somebody else."""
    user = "postgres" if getpass.getuser() == "root" else None
    with tempfile.TemporaryDirectory(prefix="pg") as made:  # short: it holds a socket
        server = Server(programs(), Path(made), user)
        if user:
            shutil.chown(made, user)
        os.chmod(made, 0o755)
        server.call("initdb", "-D", str(server.folder / "data"), "-U", "ringfence", "-A", "trust")
        server.start()
        try:
            yield server
        finally:
            server.stop("immediate")
