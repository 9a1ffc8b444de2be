"""The cluster: reached by its address, or started here; and what its nodes have room for.

Ray runs whatever it is sent, so who reaches its ports must show a token. A cluster of this
machine's own has a new token that is written nowhere, and listens on the loopback address only.
"""

from __future__ import annotations

import logging
import os
import secrets
import sys
import tempfile
from contextlib import ExitStack, redirect_stdout
from typing import Any

from attrs import define, field

from ringfence.errors import RingfenceError
from ringfence.jobs import Resources
from ringfence_ray.nodes import offers, refusal

MODE, TOKEN = "RAY_AUTH_MODE", "RAY_AUTH_TOKEN"
#: "0": addresses are this machine's own, as Ray has it on macOS; else every node listens to all
SPREADS = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"
OWN = "local"  #: the address that makes Ray start a cluster
STORE = 100 << 20  #: bytes of Ray's object store, which holds no result: those are files


@define(eq=False)
class Cluster:
    """A cluster to which this process is connected."""

    _given_back: ExitStack = field(factory=ExitStack, init=False)

    @classmethod
    def reached(
        cls, address: str | None, cpus: int | None, gpus: int | None, *, authentication: bool
    ) -> Cluster:
        """Return the cluster at ``address``, or a new one; nothing is done where one is in use."""
        cluster = cls()
        os.environ[MODE] = "token" if authentication else "disabled"  # read when ray is imported
        if address is None:
            os.environ[SPREADS] = "0"
            if authentication:
                os.environ.setdefault(TOKEN, secrets.token_hex(32))
        import ray

        if not ray.is_initialized():
            found = {"address": address} if address else cluster._own(cpus, gpus)
            cluster._connect(found)
        return cluster

    def refusal(self, need: Resources) -> str:
        """Return why no node could ever hold ``need``; nothing if one could."""
        import ray

        return refusal(need, offers(ray.nodes()))  # type: ignore[no-untyped-call]

    def leave(self) -> None:
        """Disconnect, and end the cluster if it was started here."""
        self._given_back.close()

    def _own(self, cpus: int | None, gpus: int | None) -> dict[str, Any]:
        logs = tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True)
        folder = self._given_back.enter_context(logs)
        told = {"address": OWN, "num_cpus": cpus, "num_gpus": gpus, "_temp_dir": folder}
        return told | {"object_store_memory": STORE, "include_dashboard": False}

    def _connect(self, found: dict[str, Any]) -> None:
        import ray

        # Ray prints what it has lost to standard output, where results go
        self._given_back.enter_context(redirect_stdout(sys.stderr))
        try:
            ray.init(**found, log_to_driver=False, logging_level=logging.ERROR)
        except Exception as error:  # a node that does not start in time raises no less
            ray.shutdown()
            self.leave()
            raise RingfenceError(_advice(found["address"], error)) from error
        self._given_back.callback(ray.shutdown)


def _advice(address: str, error: Exception) -> str:
    why = str(error).strip().partition("\n")[0]
    if address == OWN:
        return f"No Ray cluster could be started here ({why}). Is the machine overloaded?"
    return (
        f"No connection to a Ray cluster at {address} ({why}). Is it there? It asks for its token, "
        f"in {TOKEN} or where `ray get-auth-token` finds it; one without tokens takes "
        "-o ray.authentication=false."
    )
