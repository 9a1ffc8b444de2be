"""The record of queries: what was asked, what detectors thought, what was told.

It is written in the transaction of the batch, so that an answer and its record are one.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
from attrs import define, field
from numpy.typing import NDArray
from torch import Tensor

from ringfence.answers import Format
from ringfence.types import Queries, Verdict
from ringfence_serve import pixels, schema
from ringfence_serve.alarms import Alarms
from ringfence_serve.database import Database

Judged = tuple[str, float, bool, bool]  #: detector, score, flagged, suspected
Counts = tuple[int, int, int]  #: queries, changed answers, new alarms
Told = tuple[Queries, Tensor, list[Verdict], dict[str, Tensor], Tensor]

_encoder = msgspec.msgpack.Encoder()


@define(eq=False)
class Record:
    """Listens to a service, and writes down what it has just done."""

    database: Database
    alarms: Alarms
    format: Format
    told: Told | None = field(default=None, init=False)  #: of the last batch

    def __call__(self, *told: Any) -> None:
        """Hear of one batch."""
        self.told = told

    def write(self, keys: Sequence[bytes], spared: Sequence[bool]) -> Counts:
        """Write down every query of the batch; ``keys``: digests of images with their clients.

        ``spared`` queries were answered honestly whatever responders made of them.
        """
        assert self.told is not None
        queries, honest, verdicts, steps, sent = self.told
        plain = self.format(honest)
        wanted = self.format(list(steps.values())[-1]) if steps else plain
        changed = _differ(plain, wanted)
        numbers, judged = queries.first.tolist(), _by_row(verdicts, len(keys))
        flagged = [any(one[2] for one in row) for row in judged]
        shown = _shown(queries.images, flagged, changed)
        answers = pixels.told(sent.cpu().numpy())
        instead = pixels.told(wanted.cpu().numpy()) if any(spared) else answers
        now = time.time_ns() // 1000
        rows = [
            (
                client,
                numbers[row],
                now,
                keys[row],
                answers[row],
                instead[row] if spared[row] and changed[row] else None,
                _encoder.encode(judged[row]),
                flagged[row],
                changed[row],
                shown.get(row),
            )
            for row, client in enumerate(queries.clients)
        ]
        self.database.insert(schema.queries, rows)
        return len(keys), sum(changed), self.alarms.ring(queries.clients, numbers, judged)


def _differ(plain: Tensor, wanted: Tensor) -> list[bool]:
    """Return which answers ``(N, K)`` are not alike."""
    if plain is wanted:
        return [False] * len(plain)
    differing: NDArray[np.bool_] = (plain.cpu().numpy() != wanted.cpu().numpy()).any(1)
    told: list[bool] = differing.tolist()
    return told


def _shown(images: Tensor, flagged: Sequence[bool], changed: Sequence[bool]) -> dict[int, bytes]:
    """Return the images that an operator will want to see, by row."""
    rows = [row for row, why in enumerate(zip(flagged, changed, strict=True)) if any(why)]
    if not rows:
        return {}
    wanted = images if len(rows) == len(images) else images[rows]
    return dict(zip(rows, pixels.packed(wanted), strict=True))


def _by_row(verdicts: Sequence[Verdict], size: int) -> list[list[Judged]]:
    """Return what each detector thought of each query."""
    judged: list[list[Judged]] = [[] for _ in range(size)]
    for verdict in verdicts:
        scores, flags = verdict.score.tolist(), verdict.flagged.tolist()
        suspected = verdict.suspected.tolist() if verdict.suspected is not None else [False] * size
        for row, one in enumerate(zip(scores, flags, suspected, strict=True)):
            judged[row].append((verdict.detector, *one))
    return judged
