"""What an operator does about clients; each act is an entry of the evidence, with its reason."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

import msgspec
import sqlalchemy as sa
from attrs import define, field

from ringfence.errors import BadOption
from ringfence.service import COUNTER
from ringfence_serve import explain, export, schema
from ringfence_serve.accounts import Accounts
from ringfence_serve.alarms import Alarms
from ringfence_serve.chain import Head, check
from ringfence_serve.store import SqlStore

Action = Literal[
    "add", "list", "show", "revoke", "trust", "distrust", "pardon", "commit", "check", "export"
]


class Order(msgspec.Struct, forbid_unknown_fields=True):
    """One thing to be done."""

    action: Action
    name: str = ""
    reason: str = ""
    quota: int | None = None
    rate: float | None = None
    commitment: str = ""  #: to check against, as ``commit`` prints it


class Reason(msgspec.Struct, frozen=True):
    """The body of an entry on what an operator did."""

    reason: str


@define(eq=False)
class Operations:
    """Orders, carried out between two batches."""

    store: SqlStore
    accounts: Accounts
    alarms: Alarms
    _acts: Mapping[str, Callable[[Order], Any]] = field(init=False)

    @_acts.default
    def _make_acts(self) -> Mapping[str, Callable[[Order], Any]]:
        return {
            "add": self._add,
            "list": lambda order: explain.overview(self.store, self.accounts),
            "show": lambda order: explain.client(self.store, self.accounts, order.name),
            "revoke": self._revoke,
            "trust": self._trust,
            "distrust": self._trust,
            "pardon": self._pardon,
            "commit": lambda order: self._commit(),
            "check": self._check,
            "export": lambda order: export.lines(self.store, order.name),
        }

    def perform(self, order: Order) -> Any:
        """Do it within a batch; return what is to be printed, as plain values."""
        try:
            with (
                self.store.batch([order.name] if order.name else []),
                self.store.database.failing(),
            ):
                return self._acts[order.action](order)
        except Exception:
            self._read_again()
            raise

    def _read_again(self) -> None:
        """Let memory say what the database says, after an order that was not kept."""
        with self.store.database.failing():
            self.accounts.load()
            self.alarms.load()

    def head(self) -> Head:
        """Return the last entry of the evidence."""
        with self.store.database.failing():
            self.store.database.connection().execute(sa.select(sa.literal(1)))
        return self.store.chain.head()

    def _add(self, order: Order) -> dict[str, Any]:
        for limit in (order.quota, order.rate):
            if limit is not None and limit <= 0:
                raise BadOption("A limit is a number above 0. Leave it out for none.")
        key = self.accounts.add(order.name, order.quota, order.rate)
        self._note("added", order)
        return {"name": order.name, "key": key}

    def _revoke(self, order: Order) -> dict[str, Any]:
        self.accounts.revoke(order.name)
        self._note("revoked", order)
        return {"name": order.name, "revoked": True}

    def _trust(self, order: Order) -> dict[str, Any]:
        _require_reason(order)
        trusted = order.action == "trust"
        self.accounts.change(order.name, trusted=trusted)
        self._note("trusted" if trusted else "distrusted", order)
        return {"name": order.name, "trusted": trusted}

    def _pardon(self, order: Order) -> dict[str, Any]:
        """Forget what defenses hold against a client; its evidence and its count stay."""
        _require_reason(order)
        self.accounts.named(order.name)
        self.store.forget(order.name, but=(COUNTER,))
        self.alarms.forget(order.name)
        table = schema.queries
        altered = (table.c.client == order.name, table.c.changed)  # a repeat is answered honestly
        forgotten = sa.update(table).where(*altered).values(image=b"")
        self.store.database.connection().execute(forgotten)
        self._note("pardoned", order)
        return {"name": order.name, "pardoned": True}

    def _commit(self) -> dict[str, Any]:
        head = self.store.chain.head()
        return {"commitment": f"{head.seq}:{head.digest.hex()}"}

    def _check(self, order: Order) -> dict[str, Any]:
        commitment = parse(order.commitment) if order.commitment else None
        head = check(self.store.chain.entries(), commitment)
        return {"entries": head.seq, "commitment": f"{head.seq}:{head.digest.hex()}"}

    def _note(self, event: str, order: Order) -> None:
        body = msgspec.json.encode(Reason(order.reason))
        self.store.chain.add(event, order.name, body=body)


def parse(commitment: str) -> Head:
    """Return the entry that a commitment names."""
    seq, _, digest = commitment.partition(":")
    try:
        return Head(int(seq), bytes.fromhex(digest))
    except ValueError as error:
        raise BadOption(
            f"{commitment!r} is no commitment. Give what 'ringfence clients commit' printed."
        ) from error


def _require_reason(order: Order) -> None:
    if not order.reason.strip():
        raise BadOption(f"To {order.action} a client needs a reason: it becomes evidence.")
