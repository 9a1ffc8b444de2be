"""Who may ask, and who of them is exempt. All of it is in memory, for every request needs it."""

from __future__ import annotations

import re
import time
from typing import Any

import msgspec
import sqlalchemy as sa
from attrs import define, field

from ringfence.errors import BadOption, DuplicateName, UnknownName
from ringfence_serve import keys, schema
from ringfence_serve.store import SqlStore

NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


class Account(msgspec.Struct, gc=False):
    """One client."""

    name: str
    key_id: str
    key_digest: bytes
    added: int
    revoked: int | None = None
    trusted: bool = False
    quota: int | None = None  #: queries it may ever ask; none: the guard's own limit
    rate: float | None = None  #: queries a second; none: the guard's own limit


@define(eq=False)
class Accounts:
    """The clients of a store. What changes them runs within a batch of it."""

    _store: SqlStore
    _by_key: dict[str, Account] = field(factory=dict, init=False)
    _by_name: dict[str, Account] = field(factory=dict, init=False)

    def load(self) -> None:
        """Read all of them."""
        rows = self._store.database.connection().execute(sa.select(schema.clients)).all()
        self._by_key.clear()
        self._by_name.clear()
        for row in rows:
            self._keep(Account(**row._mapping))

    def all(self) -> list[Account]:
        """Return all clients by name."""
        return [self._by_name[name] for name in sorted(self._by_name)]

    def of_key(self, text: str) -> Account | None:
        """Return the client whose key this is; nothing if it is nobody's, or was revoked."""
        id = keys.id_of(text)
        account = self._by_key.get(id) if id else None
        known = keys.fits(text, account.key_digest if account else b"\0" * 32)
        return account if account and known and account.revoked is None else None

    def named(self, name: str) -> Account:
        """Return the client called ``name``."""
        if name not in self._by_name:
            some = list(self._by_name)[:50]
            raise UnknownName("client", name, some)
        return self._by_name[name]

    def trusted(self, name: str) -> bool:
        """Return whether this client is answered honestly whatever the defenses do."""
        account = self._by_name.get(name)
        return account is not None and account.trusted

    def add(self, name: str, quota: int | None = None, rate: float | None = None) -> str:
        """Add a client; return its key, which nobody can read again."""
        if not NAME.fullmatch(name):
            raise BadOption(
                f"{name!r} is no name of a client: use a to z, 0 to 9, dot, dash and underscore, "
                "64 at most, the first a letter or digit."
            )
        if name in self._by_name:
            raise DuplicateName(f"There is a client {name!r}. Choose another name.")
        key = keys.new()
        account = Account(name, key.id, key.digest, _now(), quota=quota, rate=rate)
        row = msgspec.structs.asdict(account)
        self._store.database.connection().execute(sa.insert(schema.clients).values(row))
        self._keep(account)
        return key.text

    def change(self, name: str, **values: Any) -> Account:
        """Change fields of a client."""
        account = self.named(name)
        table = schema.clients
        update = sa.update(table).where(table.c.name == name).values(values)
        self._store.database.connection().execute(update)
        changed = msgspec.structs.replace(account, **values)
        self._keep(changed)
        return changed

    def revoke(self, name: str) -> None:
        """Refuse a client's key from now on."""
        self.change(name, revoked=_now())

    def _keep(self, account: Account) -> None:
        self._by_key[account.key_id] = account
        self._by_name[account.name] = account


def _now() -> int:
    return time.time_ns() // 1000
