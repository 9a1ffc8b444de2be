"""DAWN: a keyed share of all inputs is answered wrongly, and who knows these answers stole them."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from attrs import define, field, validators
from torch import nn

from ringfence import hookimpl
from ringfence.errors import BadOption
from ringfence.protocols import Responder, Verifier
from ringfence.run import DefenseRun
from ringfence_dawn.key import decoded, long_enough, read
from ringfence_dawn.mapping import make_mapping
from ringfence_dawn.marking import Marker
from ringfence_dawn.verifying import Finder

RATE = 0.005  #: of the released code

_share: Any = [validators.ge(0), validators.le(1)]
_between: Any = validators.optional(validators.and_(validators.gt(0), validators.lt(1)))


@define(eq=False)
class Dawn:
    """Answers a keyed share of all inputs with a keyed wrong class, and looks for these later.

    Szyller, Atli, Marchal, Asokan, "DAWN: Dynamic Adversarial Watermarking of Neural Networks",
    ACM MM 2021. The comparison of AMAO has ``rate=0.0625``; see docs/plugins/dawn.md.
    """

    paper = "Szyller, Atli, Marchal, Asokan: DAWN, ACM MM 2021 (arXiv 1906.00830)"
    threat = "any client, any queries; the thief must learn the answers as they are"

    rate: float = field(
        default=RATE, validator=_share, metadata={"help": "share of inputs answered wrongly"}
    )
    key: str | None = field(
        default=None,
        repr=False,
        validator=long_enough,
        metadata={"help": "16 bytes or more, hex or text; none: from the seed", "secret": True},
    )
    keyfile: Path | None = field(
        default=None,
        repr=False,
        validator=long_enough,
        metadata={"help": "a file that holds the key", "secret": True},
    )
    soft: Literal["swap", "permute"] = field(
        default="swap",
        metadata={"help": "wrong class: changes places with the top one, or all classes move"},
    )
    mapping: Literal["pixels", "logits", "hidden"] = field(
        default="pixels", metadata={"help": "what is hashed: the image, or signs of an embedding"}
    )
    driven_by: tuple[str, ...] = field(
        default=(),
        metadata={"help": "detectors: only clients that they suspect; none: everybody"},
    )
    bits: float = field(
        default=64.0,
        validator=[validators.gt(0), validators.le(1000)],
        metadata={"help": "a false claim has a chance of at most 2 to the minus bits"},
    )
    tolerance: float | None = field(
        default=None,
        validator=_between,
        metadata={"help": "share of a set that a thief may miss; none: what bits allow"},
    )
    chance: float | None = field(
        default=None,
        validator=_between,
        metadata={"help": "that an innocent model hits a label; none: 1 / classes"},
    )

    def __attrs_post_init__(self) -> None:
        """Refuse two keys."""
        if self.key is not None and self.keyfile is not None:
            raise BadOption("Option dawn.keyfile stands beside dawn.key. Give one of them.")

    @hookimpl
    def make_responder(self, run: DefenseRun, victim: nn.Module) -> Responder:
        """Mark with the key given, or else with the run's own secret."""
        if run.num_classes < 2:
            raise BadOption("dawn needs a victim of two classes or more, to answer wrongly.")
        mapping = make_mapping(self.mapping, run, victim)
        return Marker(run, self._secret(run), self.rate, self.soft, mapping, self.driven_by)

    @hookimpl
    def make_verifier(self, run: DefenseRun) -> Verifier:
        """Look for what was marked in each client's answers."""
        chance = 1 / run.num_classes if self.chance is None else self.chance
        return Finder(run, self.bits, self.tolerance, chance)

    def _secret(self, run: DefenseRun) -> bytes:
        if self.keyfile is not None:
            return read(self.keyfile)
        return run.secret if self.key is None else decoded(self.key)
