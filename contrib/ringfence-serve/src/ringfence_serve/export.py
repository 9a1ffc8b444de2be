"""A client's evidence in a file of its own: its entries whole, of all others only a digest.

So the chain can be checked by somebody who must not see what other clients did.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from ringfence.atomic import write_text
from ringfence.errors import BadEvidence
from ringfence.exhibit import FOLDER, Exhibit
from ringfence.ledger import Ledger
from ringfence_serve import configured
from ringfence_serve.chain import SCHEME, Entry, Head, link
from ringfence_serve.evidence import MARKED, dumped
from ringfence_serve.store import SqlStore

LARGEST = 2 << 30  #: bytes of a file that is read


class Line(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One entry: whole, or by its digest."""

    entry: Entry | None = None
    content: str = ""


class Top(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The first line."""

    scheme: str
    client: str


def lines(store: SqlStore, client: str) -> list[str]:
    """Return the lines of an export: one per entry of the chain, behind the first."""
    told = [_text(Top(SCHEME.decode(), client))]
    for entry in store.chain.entries():
        whole = entry.client == client or entry.event == configured.CONFIGURED
        told.append(_text(Line(entry=entry) if whole else Line(content=entry.content().hex())))
    return told


def save(file: Path, told: list[str]) -> None:
    """Write an export, whole or not at all."""
    write_text(file, "\n".join(told) + "\n")


def load(file: Path, commitment: Head | None, folder: Path) -> dict[str, Any]:
    """Check an export, and write the ledger in it to ``folder`` for ``ringfence verify``."""
    if file.stat().st_size > LARGEST:
        raise BadEvidence(f"{file} has over {LARGEST:,} bytes.")
    rows = file.read_bytes().splitlines()
    try:
        top = msgspec.json.decode(rows[0] if rows else b"", type=Top)
        entries, head = _checked(rows[1:], commitment)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise BadEvidence(f"{file} cannot be read as evidence ({str(error)[:120]}).") from error
    others = {entry.client for entry in entries} - {"", top.client}
    if top.scheme != SCHEME.decode() or others or _text(top).encode() != rows[0]:
        raise BadEvidence(f"{file} is not the evidence of {top.client!r} alone.")
    made = [entry for entry in entries if entry.event == configured.CONFIGURED]
    if not made:
        raise BadEvidence(f"{file} does not say which model was guarded.")
    ledger = Ledger()
    ledger.load(dumped(entry for entry in entries if entry.event == MARKED))
    exhibit: Exhibit = configured.configured(made[-1].body, ledger)
    exhibit.save(folder / FOLDER)
    marked = sum(entry.event == MARKED for entry in entries)
    return {"client": top.client, "marked": marked, "commitment": f"{head.seq}:{head.digest.hex()}"}


def _checked(rows: list[bytes], commitment: Head | None) -> tuple[list[Entry], Head]:
    """Return the whole entries of a chain, and its end."""
    head, met, whole = Head(), commitment is None, []
    for row in rows:
        line = msgspec.json.decode(row, type=Line)
        same = line.content == bytes.fromhex(line.content).hex()
        if _text(line).encode() != row or not same:  # another spelling of the same, such as A for a
            raise BadEvidence(f"Evidence was changed: line {head.seq + 2} was not written so.")
        content = line.entry.content() if line.entry else bytes.fromhex(line.content)
        head = Head(head.seq + 1, link(head.digest, head.seq + 1, content))
        if line.entry:
            if (line.entry.seq, line.entry.digest) != (head.seq, head.digest):
                raise BadEvidence(
                    f"Evidence was changed: entry {head.seq} does not fit its digest."
                )
            whole.append(line.entry)
        met = met or head == commitment
    if not met:
        raise BadEvidence("Evidence was changed: it does not lead to the commitment.")
    return whole, head


def _text(line: Any) -> str:
    return msgspec.json.encode(line).decode()
