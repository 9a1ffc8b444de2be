"""Probing: ask again, and distrust answers that do not agree."""

from __future__ import annotations

from typing import Any, Literal

from attrs import define, field, validators

from ringfence import hookimpl
from ringfence.protocols import Recovery
from ringfence.run import AttackRun
from ringfence_probing.prober import Prober

_not_negative: Any = validators.ge(0)


@define(eq=False)
class Probing:
    """Asks every image several times, and out-votes or discards what differs.

    Tang et al., AMAO, section 5.6.2: an adversary who gets different predictions for the same or
    for similar samples may discard the perturbed ones. See docs/plugins/probing.md.
    """

    paper = "AMAO, section 5.6.2: indistinguishability of the responses"
    threat = "a larger bill; of a second account, with --attacker-clients"

    by: Literal["changed", "account"] = field(
        default="changed",
        metadata={"help": "ask again with slightly changed images, or through other accounts"},
    )
    then: Literal["vote", "discard"] = field(
        default="vote",
        metadata={"help": "learn what most answers say, or nothing where they differ"},
    )
    asks: int = field(
        default=3,
        validator=[validators.ge(2), validators.le(16)],
        metadata={"help": "queries an image; vote: 3 or more"},
    )
    noise: float = field(
        default=0.03,
        validator=[_not_negative, validators.le(1)],
        metadata={"help": "of changed: the most a pixel changes, images being in [0, 1]"},
    )
    shift: int = field(
        default=0,
        validator=_not_negative,
        metadata={"help": "of changed: pixels that an image moves, at most"},
    )
    tolerance: float | None = field(
        default=None,
        validator=validators.optional(_not_negative),
        metadata={"help": "l1 distance from which answers differ; none: with the top-1 class"},
    )

    def __attrs_post_init__(self) -> None:
        """Refuse a vote of two."""
        if self.then == "vote" and self.asks < 3:
            raise ValueError("'asks' must be >= 3 where 'then' is vote: two do not out-vote")

    @hookimpl
    def make_recovery(self, run: AttackRun) -> Recovery:
        """Probe with a random stream of its own."""
        return Prober(self, run.generator("changes"))
