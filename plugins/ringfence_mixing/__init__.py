"""Mixing: an attack hides among images that look benign."""

from __future__ import annotations

from typing import Any, Literal

from attrs import define, field, validators

from ringfence import hookimpl
from ringfence.protocols import Recovery
from ringfence.run import AttackRun
from ringfence_mixing.cover import Cover
from ringfence_mixing.mixer import Mixer

_not_negative: Any = validators.ge(0)


@define(eq=False)
class Mixing:
    """Sends cover images among an attack's queries and throws their answers away.

    Tang et al., AMAO, section 5.6.1: with 87.5 percent of benign queries among his own, an
    attacker whose queries are detected 80 times in 100 stays below a suspicion of 0.1, at eight
    times the cost. See docs/plugins/mixing.md.
    """

    paper = "AMAO, section 5.6.1: mixed-in benign queries"
    threat = "a few images of the victim's kind (the seeds), and a larger bill"

    share: float = field(
        default=0.875,
        validator=[validators.ge(0), validators.le(0.999)],
        metadata={"help": "of all queries that are cover"},
    )
    source: Literal["seeds", "pool"] = field(
        default="seeds",
        metadata={"help": "what cover is made of: training images, or the attacker's pool"},
    )
    shift: int = field(
        default=1, validator=_not_negative, metadata={"help": "pixels that cover moves, at most"}
    )
    noise: float = field(
        default=0.02,
        validator=[_not_negative, validators.le(1)],
        metadata={"help": "standard deviation of the noise on cover, images being in [0, 1]"},
    )

    @hookimpl
    def make_recovery(self, run: AttackRun) -> Recovery:
        """Mix with a random stream of its own."""
        images = run.seeds if self.source == "seeds" else run.pool
        cover = Cover(images, self.shift, self.noise, run.generator("cover"))
        return Mixer(cover, self.share, run.generator("order"))
