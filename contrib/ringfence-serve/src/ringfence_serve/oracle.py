"""``--oracle http``: any attack against a live guard, for the operator's own service."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import torch
import urllib3
from attrs import define, field, validators
from torch import Tensor

from ringfence.errors import BadOption, RingfenceError
from ringfence.protocols import Endpoint
from ringfence_serve.replies import Answers

TRIES = 8  #: of one request, seconds apart that double


def _is_address(_: Any, __: Any, url: str) -> None:
    if not url.startswith(("http://", "https://")):
        raise ValueError(f"must be an address with http:// or https://: {url!r}")


@define(eq=False)
class Http:
    """A guard behind its address. Every request has an id: a retry is never counted twice."""

    variant = "url"

    url: str = field(
        validator=_is_address, metadata={"help": "of the server, or of its /v1/predict"}
    )
    keyfile: Path | None = field(
        default=None,
        metadata={"help": "keys of clients: a line each, as NAME KEY or KEY", "secret": True},
    )
    batch: int = field(
        default=64, validator=validators.ge(1), metadata={"help": "images of one request, at most"}
    )
    seconds: float = field(
        default=30.0, validator=validators.gt(0), metadata={"help": "until a try is given up"}
    )

    def connect(self, serve: Callable[[], Endpoint]) -> Endpoint:
        """Return the guard; nothing is set up here."""
        return Remote(self.url, _keys(self.keyfile), self.batch, self.seconds)


@define(eq=False)
class Remote:
    """Asks over HTTP. Clients use the keys of their names, or of their places."""

    url: str
    keys: dict[str, str] = field(repr=False)
    batch: int = 64
    seconds: float = 30.0
    _places: dict[str, str] = field(factory=dict, init=False)
    _pool: urllib3.PoolManager = field(init=False)

    @_pool.default
    def _make_pool(self) -> urllib3.PoolManager:
        again = urllib3.Retry(
            TRIES,
            status_forcelist=(408, 409, 429, 503),
            allowed_methods=None,  # also POST: the id makes it safe
            backoff_factor=0.2,
            backoff_max=20,
            redirect=0,
        )
        return urllib3.PoolManager(retries=again, timeout=self.seconds, maxsize=4)

    def answer(self, images: Tensor, clients: Sequence[str]) -> Tensor:
        """Return answers ``(N, K)`` in float64; runs of one client's rows are asked together."""
        answers = [
            self._ask(images[start:end], client) for client, start, end in self._runs(clients)
        ]
        return torch.cat(answers).to(images.device)

    def _runs(self, clients: Sequence[str]) -> list[tuple[str, int, int]]:
        runs: list[tuple[str, int, int]] = []
        for row, client in enumerate(clients):
            if runs and runs[-1][0] == client and row - runs[-1][1] < self.batch:
                runs[-1] = (client, runs[-1][1], row + 1)
            else:
                runs.append((client, row, row + 1))
        return runs

    def _ask(self, images: Tensor, client: str) -> Tensor:
        rows = images.detach().float().cpu().numpy().astype("<f4")
        body = msgspec.json.encode({"pixels": [row.tobytes() for row in rows]})  # in base64
        headers = {
            "Content-Type": "application/json",
            "Authorization": f"Bearer {self._key(client)}",
            "Idempotency-Key": secrets.token_urlsafe(16),
        }
        url = self.url if self.url.endswith("/predict") else f"{self.url.rstrip('/')}/v1/predict"
        try:
            reply = self._pool.request("POST", url, body=body, headers=headers)
        except urllib3.exceptions.HTTPError as error:
            raise RingfenceError(
                f"{url} gave no answer in {TRIES} tries ({type(error).__name__}). Is it running?"
            ) from error
        if reply.status != 200:
            said = reply.data[:200].decode(errors="replace")
            raise RingfenceError(f"{url} refused a query of {client!r}: {reply.status} {said}")
        return _answers(reply.data, len(images), url)

    def _key(self, client: str) -> str:
        """Return a client's key: its own by name, else the next one that nobody has."""
        if client in self.keys:
            return self.keys[client]
        if client not in self._places:
            free = [k for k in self.keys.values() if k not in self._places.values()]
            if not free:
                raise BadOption(
                    f"There is no key for the client {client!r}. Give one line per client in "
                    "-o http.keyfile=FILE.",
                    option="http.keyfile",
                )
            self._places[client] = free[0]
        return self._places[client]


def _answers(body: bytes, size: int, url: str) -> Tensor:
    try:
        found = msgspec.json.decode(body, type=Answers).answers
        answers = torch.tensor([one.probabilities for one in found], dtype=torch.float64)
    except (msgspec.MsgspecError, ValueError, TypeError) as error:
        raise RingfenceError(f"{url} does not answer like a guard ({str(error)[:120]}).") from error
    if len(answers) != size:
        raise RingfenceError(f"{url} answered {len(answers)} of {size} images.")
    return answers


def _keys(file: Path | None) -> dict[str, str]:
    """Return keys by the names of their clients, or by their lines."""
    if file is None:
        return {}
    try:
        lines = [
            line.split() for line in file.read_text(encoding="ascii").splitlines() if line.strip()
        ]
    except (OSError, ValueError) as error:
        raise BadOption(
            f"The file of keys cannot be read ({type(error).__name__}). Give another "
            "-o http.keyfile=FILE.",
            option="http.keyfile",
        ) from error
    return {
        (parts[0] if len(parts) > 1 else f"#{place}"): parts[-1]
        for place, parts in enumerate(lines)
    }
