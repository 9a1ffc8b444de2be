"""Block: who is suspected gets no answers, or shuffled ones."""

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
from ringfence_block.shuffle import draws, shuffled

_names: Any = validators.deep_iterable(validators.min_len(1))
MOST = 6  #: classes that are shuffled, at most: every order of them lies in a table


@define(eq=False)
class Block:
    """Refuses, or shuffles the largest probabilities, once a detector suspects the client.

    Juuti et al., "PRADA", EuroS&P 2019, whose released demo shuffles the top 3 on alarm; Atli et
    al., "Extraction of Complex DNN Models", 2020, filter queries out. See docs/plugins/block.md.
    """

    paper = "Juuti, Szyller, Marchal, Asokan: PRADA, EuroS&P 2019 (the response of its demo)"
    threat = "a client that a selected detector suspects; colluders are suspected one by one"
    needs_detector = True

    answer: Literal["refuse", "shuffle"] = field(
        default="refuse", metadata={"help": "what a suspect gets: zeros, or a wrong order"}
    )
    top: int = field(
        default=3,
        validator=[validators.ge(2), validators.le(MOST)],
        metadata={"help": "of shuffle: how many of the largest probabilities change places"},
    )
    key: Literal["query", "image"] = field(
        default="query",
        metadata={"help": "of shuffle: a new order for every query, or one for each image"},
    )
    driven_by: tuple[str, ...] = field(
        default=(),
        validator=_names,
        metadata={"help": "detectors whose suspects are blocked; empty: any selected one's"},
    )

    @hookimpl
    def make_responder(self, run: DefenseRun) -> Responder:
        """Respond with the defense's own secret."""
        return Blocker(self, run.secret)


@define(eq=False)
class Blocker:
    """The responder at work. It remembers nothing: suspicion is the detectors'."""

    options: Block
    secret: bytes = field(repr=False)

    def respond(self, queries: Queries, probs: Tensor, verdicts: Sequence[Verdict]) -> Tensor:
        """Return ``(N, K)``: suspects' rows are zero or in another order, the rest is as it was."""
        rows = suspected(queries, verdicts, self.options.driven_by)
        if self.options.answer == "refuse":
            return probs.masked_fill(rows[:, None], 0)
        chosen = rows.nonzero().flatten()
        numbers = draws(self.secret, queries, chosen, by_image=self.options.key == "image")
        return probs.index_copy(0, chosen, shuffled(probs[chosen], numbers, self.options.top))
