"""Why a client is where it is: its queries, their scores, the thresholds, what was done."""

from __future__ import annotations

from typing import Any

import msgspec
import sqlalchemy as sa

from ringfence_serve import configured, schema
from ringfence_serve.accounts import Account, Accounts
from ringfence_serve.chain import Entry
from ringfence_serve.store import SqlStore

SHOWN = 50  #: queries of a client's history
MOST = 500  #: clients of the overview
Judged = list[tuple[str, float, bool, bool]]


def overview(store: SqlStore, accounts: Accounts) -> list[dict[str, Any]]:
    """Return clients with their figures: the suspected, then those with most flags."""
    figures = {row.client: row for row in _figures(store)}
    alarms = _alarms(store)
    told = [_told(account, figures.get(account.name), alarms) for account in accounts.all()]
    told.sort(key=lambda one: (-len(one["suspected_by"]), -one["flagged"], one["name"]))
    return told


def client(store: SqlStore, accounts: Accounts, name: str) -> dict[str, Any]:
    """Return all that is known of one client: figures, decisions, what it asked last."""
    account = accounts.named(name)
    rows = _figures(store, name)
    told = _told(account, rows[0] if rows else None, _alarms(store, name))
    decisions = [_decision(entry) for entry in store.chain.entries(*_about(name))]
    return {
        **told,
        "decisions": decisions,
        "judged_by": judged_by(store),
        "history": history(store, name),
    }


def judged_by(store: SqlStore) -> dict[str, Any]:
    """Return the defenses at work, their options, and thresholds and rates as they told them."""
    wanted = schema.chain.c.event == configured.CONFIGURED
    found = list(store.chain.entries(wanted))
    if not found:
        return {}
    last = configured.read(found[-1].body)
    return {
        "since": found[-1].time,
        "model": last.model,
        "observe": last.observe,
        "defenses": {
            name: {"options": options, "found": last.found.get(name, {})}
            for name, options in last.defenses.items()
        },
    }


def history(store: SqlStore, name: str, most: int = SHOWN) -> list[dict[str, Any]]:
    """Return the flagged and changed queries of a client, the last first, then plain ones."""
    table = schema.queries
    weight = sa.case((sa.or_(table.c.flagged, table.c.changed), 0), else_=1)
    wanted = sa.select(table).where(table.c.client == name)
    rows = _execute(store, wanted.order_by(weight, table.c.number.desc()).limit(most))
    return [
        {
            "number": row.number,
            "time": row.time,
            "flagged": row.flagged,
            "changed": row.changed,
            "withheld": row.instead is not None,
            "verdicts": [
                {"detector": detector, "score": score, "flagged": flagged, "suspected": suspected}
                for detector, score, flagged, suspected in msgspec.msgpack.decode(
                    row.verdicts, type=Judged
                )
            ],
        }
        for row in rows
    ]


def _told(account: Account, figures: Any, alarms: dict[str, list[Any]]) -> dict[str, Any]:
    own = alarms.get(account.name, [])
    return {
        "name": account.name,
        "queries": figures.queries if figures else 0,
        "flagged": int(figures.flagged or 0) if figures else 0,
        "changed": int(figures.changed or 0) if figures else 0,
        "last": figures.last if figures else None,
        "suspected_by": [
            {"detector": a.detector, "number": a.number, "score": a.score, "time": a.time}
            for a in own
        ],
        "revoked": account.revoked is not None,
        "trusted": account.trusted,
        "quota": account.quota,
        "rate": account.rate,
    }


def _figures(store: SqlStore, name: str | None = None) -> list[Any]:
    columns = schema.queries.c
    counts = [
        sa.func.count().label("queries"),
        sa.func.sum(sa.cast(columns.flagged, sa.Integer)).label("flagged"),
        sa.func.sum(sa.cast(columns.changed, sa.Integer)).label("changed"),
        sa.func.max(columns.time).label("last"),
    ]
    wanted = sa.select(columns.client, *counts).group_by(columns.client)
    if name is not None:
        wanted = wanted.where(columns.client == name)
    return list(_execute(store, wanted))


def _alarms(store: SqlStore, name: str | None = None) -> dict[str, list[Any]]:
    wanted = sa.select(schema.alarms).order_by(schema.alarms.c.id)
    if name is not None:
        wanted = wanted.where(schema.alarms.c.client == name)
    found: dict[str, list[Any]] = {}
    for row in _execute(store, wanted):
        found.setdefault(row.client, []).append(row)
    return found


def _about(name: str) -> tuple[Any, ...]:
    return schema.chain.c.client == name, schema.chain.c.event != "marked"


def _decision(entry: Entry) -> dict[str, Any]:
    """Return an entry that is not of a marked answer, as people read it."""
    told = {"seq": entry.seq, "time": entry.time, "event": entry.event, "detector": entry.plugin}
    body = msgspec.json.decode(entry.body) if entry.body else {}
    return {**told, "number": entry.number, **body}


def _execute(store: SqlStore, statement: Any) -> Any:
    return store.database.connection().execute(statement)
