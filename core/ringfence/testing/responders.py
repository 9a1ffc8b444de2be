"""The contract of responders."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ringfence.answers import refused
from ringfence.experiment import Experiment
from ringfence.protocols import Responder
from ringfence.testing.promises import promise
from ringfence.testing.serving import Kind, Serve, untouched
from ringfence.testing.tiny import defender, fresh
from ringfence.types import Queries, Verdict

GUILTY, SINCE = "client-1", 2  #: this client is suspected from its third query on


def check_responder(plugin: Any, device: str = "cpu") -> None:
    """Answers are soft labels, the same however the queries arrive; inputs are left alone."""

    def make(run: Experiment) -> Serve:
        responder = defender("make_responder", fresh(plugin), run, Responder)

        def serve(queries: Queries, logits: Tensor) -> Tensor:
            probs = logits.double().softmax(-1)
            verdicts = [_verdict(queries, logits)]
            with run.store.batch(queries.clients):
                after = untouched("responder", _bound(responder, verdicts), queries, probs)
                _check_answers(after, probs)
                run.store.settle(queries, after)
            answers: Tensor = after
            return answers

        return serve

    Kind("responder", make, device).check()


def _bound(responder: Responder, verdicts: Sequence[Verdict]) -> Any:
    return lambda queries, probs: responder.respond(queries, probs, verdicts)


def _verdict(queries: Queries, logits: Tensor) -> Verdict:
    guilty = torch.tensor([one == GUILTY for one in queries.clients], dtype=torch.bool)
    guilty = guilty.to(logits.device)
    return Verdict("any", guilty.double(), guilty, guilty & (queries.first >= SINCE))


def _check_answers(after: Tensor, probs: Tensor) -> None:
    promise("responder-device", after.device == probs.device, f"stays on {probs.device}")
    promise("responder-shape", after.shape == probs.shape, "one soft label per query")
    promise("responder-dtype", after.dtype is torch.float64, "probabilities stay float64")
    promise("responder-finite", after.isfinite().all(), "answers are finite")
    sums = after[~refused(after)].sum(-1)
    right = bool((after >= 0).all()) and torch.allclose(sums, torch.ones_like(sums), atol=1e-7)
    promise("responder-rows", right, "rows sum to one and none is negative, or they are refusals")
