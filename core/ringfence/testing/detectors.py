"""The contract of detectors."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ringfence.experiment import Experiment
from ringfence.protocols import Detector
from ringfence.testing.promises import promise
from ringfence.testing.serving import Kind, Serve, untouched
from ringfence.testing.tiny import defender, fresh
from ringfence.types import Queries, Verdict


def check_detector(plugin: Any, device: str = "cpu") -> None:
    """Verdicts: one per query, finite, the same however the queries arrive."""

    def make(run: Experiment) -> Serve:
        detector = defender("make_detector", fresh(plugin), run, Detector)

        def serve(queries: Queries, logits: Tensor) -> Tensor:
            with run.store.batch(queries.clients):
                verdict: Verdict = untouched("detector", detector.inspect, queries, logits)
            return _columns(verdict, len(logits), device)

        return serve

    Kind("detector", make, device).check()


def _columns(verdict: Verdict, size: int, device: str) -> Tensor:
    """Return ``(N, 3)`` float64: score, flagged, suspected."""
    suspected = verdict.flagged if verdict.suspected is None else verdict.suspected
    parts = (verdict.score, verdict.flagged, suspected)
    kind = torch.device(device).type
    promise("detector-device", all(p.device.type == kind for p in parts), f"stays on {device}")
    promise("detector-shape", all(p.shape == (size,) for p in parts), "one verdict per query")
    floating = verdict.score.is_floating_point()
    flags = verdict.flagged.dtype is suspected.dtype is torch.bool
    promise("detector-dtype", floating and flags, "scores are floats, flags are booleans")
    promise("detector-finite", verdict.score.isfinite().all(), "scores are finite")
    return torch.stack([verdict.score.double(), verdict.flagged, suspected], 1)
