"""Collusion: similar queries come from different accounts."""

from __future__ import annotations

from typing import Literal

from attrs import define, field, validators

from ringfence import hookimpl
from ringfence.protocols import Recovery
from ringfence.run import AttackRun
from ringfence_collusion.dealer import Dealer


@define(eq=False)
class Collusion:
    """Deals the queries of an attack to all of the attacker's accounts, evenly.

    Tang et al., AMAO, section 5.6.1: relevant queries go to different users, so that those of
    each user look unrelated. See docs/plugins/collusion.md.
    """

    paper = "AMAO, section 5.6.1: colluded malicious users"
    threat = "several accounts (--attacker-clients); a defense that judges each account alone"

    deal: Literal["similar", "random", "turn"] = field(
        default="similar",
        metadata={"help": "similar ones apart; at random; in turn, as without this recovery"},
    )
    remember: int = field(
        default=10_000,
        validator=validators.gt(0),
        metadata={"help": "of similar: queries that a new one is compared with, the latest"},
    )

    @hookimpl
    def make_recovery(self, run: AttackRun) -> Recovery:
        """Deal with a random stream of its own."""
        return Dealer(self.deal, self.remember, run.generator("deal"))
