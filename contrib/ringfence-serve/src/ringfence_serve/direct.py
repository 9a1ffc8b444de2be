"""Carries out orders where no guard is running, and asks the guard where one is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import urllib3

from ringfence.errors import RingfenceError
from ringfence_serve import keys
from ringfence_serve.accounts import Accounts
from ringfence_serve.alarms import Alarms
from ringfence_serve.operations import Operations, Order
from ringfence_serve.settings import ADDRESS, OPERATOR, url_of
from ringfence_serve.store import SqlStore

SECONDS = 60.0  #: until the server is given up


def perform(state: Path, url: str | None, order: Order) -> Any:
    """Do it on the database itself."""
    store = SqlStore(url or url_of(state))
    try:
        accounts, alarms = Accounts(store), Alarms(store)
        with store.batch(()), store.database.failing():
            accounts.load()
            alarms.load()
        return Operations(store, accounts, alarms).perform(order)
    finally:
        store.database.close()


def ask_server(state: Path, order: Order) -> Any:
    """Let the guard that holds the database do it."""
    try:
        url = json.loads((state / ADDRESS).read_text(encoding="utf-8"))["url"]
        key = keys.own(state / OPERATOR)
        pool = urllib3.PoolManager(retries=False, timeout=SECONDS)
        headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        body = msgspec.json.encode(order)
        reply = pool.request("POST", f"{url}/operator/orders", body=body, headers=headers)
    except (OSError, ValueError, KeyError, urllib3.exceptions.HTTPError) as error:
        raise RingfenceError(
            f"A guard holds the database in {state}, but does not answer ({type(error).__name__}). "
            "Stop it, or wait."
        ) from error
    told = json.loads(reply.data)
    if reply.status != 200:
        raise RingfenceError(told.get("message", "The guard refused."))
    return told
