"""Truncation: clients are told less of each answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from attrs import define, field, validators
from torch import Tensor

from ringfence import hookimpl
from ringfence.protocols import Responder
from ringfence.run import DefenseRun
from ringfence.suspicion import suspected
from ringfence.types import Queries, Verdict
from ringfence_truncation.truncate import label, largest, rounded

_names: Any = validators.deep_iterable(validators.min_len(1))


@define(eq=False)
class Truncation:
    """Answers with the label only, with the k largest probabilities, or with rounded ones.

    Tramer et al., "Stealing Machine Learning Models via Prediction APIs", USENIX Security 2016,
    section 7; Orekondy et al., "Knockoff Nets", CVPR 2019. Unlike the answer formats ``topK``
    and ``roundD``, what is sent are soft labels again; see docs/plugins/truncation.md.
    """

    paper = "Tramer et al.: Stealing Machine Learning Models via Prediction APIs, USENIX Sec. 2016"
    threat = "any client that uses the probabilities; does nothing against hard labels"

    kind: Literal["labels", "top", "round"] = field(
        default="labels", metadata={"help": "what is told: the top-1 class, k classes, decimals"}
    )
    k: int = field(
        default=3, validator=validators.gt(0), metadata={"help": "of top: classes that are told"}
    )
    decimals: int = field(
        default=1,
        validator=[validators.ge(0), validators.le(15)],
        metadata={"help": "of round: how many are told"},
    )
    driven_by: tuple[str, ...] = field(
        default=(),
        validator=_names,
        metadata={"help": "detectors whose suspects get truncated answers; empty: everybody"},
    )

    @hookimpl
    def make_responder(self, run: DefenseRun) -> Responder:
        """Respond without state."""
        return self

    def respond(self, queries: Queries, probs: Tensor, verdicts: Sequence[Verdict]) -> Tensor:
        """Return soft labels ``(N, K)`` that say less."""
        truncated = self._truncated(probs)
        if not self.driven_by:
            return truncated
        rows = suspected(queries, verdicts, self.driven_by)
        return truncated.where(rows[:, None], probs)

    def _truncated(self, probs: Tensor) -> Tensor:
        if self.kind == "labels":
            return label(probs)
        return largest(probs, self.k) if self.kind == "top" else rounded(probs, self.decimals)
