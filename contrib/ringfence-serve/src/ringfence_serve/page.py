"""The operator's page: written on the server, no script, nothing from elsewhere."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from io import BytesIO
from typing import Any

import sqlalchemy as sa
import torch
from attrs import define, field
from jinja2 import Environment, PackageLoader, StrictUndefined
from PIL import Image

from ringfence_serve import explain, pixels, schema
from ringfence_serve.accounts import Accounts
from ringfence_serve.store import SqlStore

THUMBNAIL = 56  #: pixels a side


@define(eq=False)
class Page:
    """Shows clients by suspicion, and one client's history with its reasons."""

    store: SqlStore
    accounts: Accounts
    image_shape: tuple[int, ...]
    _templates: Environment = field(init=False)

    @_templates.default
    def _make_templates(self) -> Environment:
        made = Environment(
            loader=PackageLoader("ringfence_serve"), autoescape=True, undefined=StrictUndefined
        )
        made.filters |= {"when": _when, "number": _number}
        return made

    def overview(self) -> str:
        """Return the list of clients."""
        with self.store.database.failing():
            told = explain.overview(self.store, self.accounts)
            guard = explain.judged_by(self.store)
        sums = {name: sum(c[name] for c in told) for name in ("queries", "flagged", "changed")}
        suspected = sum(bool(client["suspected_by"]) for client in told)
        shown = told[: explain.MOST]
        values = {"clients": shown, "guard": guard, "sums": sums, "suspected": suspected}
        return self._templates.get_template("overview.html").render(total=len(told), **values)

    def client(self, name: str) -> str:
        """Return one client's history."""
        with self.store.database.failing():
            told = explain.client(self.store, self.accounts, name)
            thumbnails = self._thumbnails(name, [query["number"] for query in told["history"]])
        template = self._templates.get_template("client.html")
        return template.render(client=told, guard=told["judged_by"], thumbnails=thumbnails)

    def _thumbnails(self, name: str, numbers: list[int]) -> dict[int, str]:
        """Return data URLs of the images that are kept, by the number of their query."""
        columns = schema.queries.c
        wanted = sa.select(columns.number, columns.pixels).where(
            columns.client == name, columns.number.in_(numbers), columns.pixels.is_not(None)
        )
        rows = self.store.database.connection().execute(wanted)
        return {number: _data_url(raw, self.image_shape) for number, raw in rows}


def _data_url(raw: bytes, shape: tuple[int, ...]) -> str:
    """Return a packed image as a PNG in a URL."""
    whole = (pixels.unpacked(raw, shape) * 255).round().to(torch.uint8)
    array = whole[0].numpy() if shape[0] == 1 else whole[:3].permute(1, 2, 0).numpy()
    picture = Image.fromarray(array)
    picture.thumbnail((THUMBNAIL, THUMBNAIL))
    written = BytesIO()
    picture.save(written, "PNG")
    return "data:image/png;base64," + base64.b64encode(written.getvalue()).decode()


def _when(time: int | None) -> str:
    """Return microseconds since 1970 as people read them, in UTC."""
    if time is None:
        return "never"
    return datetime.fromtimestamp(time / 1_000_000, UTC).strftime("%Y-%m-%d %H:%M:%S")


def _number(value: Any) -> str:
    """Return a number in short."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return str(value)
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"
