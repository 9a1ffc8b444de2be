"""Finetuning: the stolen model is trained further before it is judged."""

from __future__ import annotations

from typing import Any, Literal

from attrs import define, field, validators

from ringfence import hookimpl
from ringfence.protocols import Recovery
from ringfence.recipe import Recipe
from ringfence.run import AttackRun
from ringfence_finetuning.tuner import Tuner

_positive: Any = validators.gt(0)


@define(eq=False)
class Finetuning:
    """Trains the substitute further, to be rid of a watermark or to learn more.

    Adi et al., "Turning Your Weakness Into a Strength", USENIX Security 2018, section 5: all
    layers or the last one, with or without a fresh start of the last. See
    docs/plugins/finetuning.md.
    """

    paper = "Adi, Baum, Cisse, Pinkas, Keshet: Turning Your Weakness Into a Strength, USENIX 2018"
    threat = "owns the substitute; a verifier that asks it for what it has memorised"

    on: Literal["seen", "pool"] = field(
        default="seen",
        metadata={"help": "answers that were bought, or the pool as the substitute labels it"},
    )
    layers: Literal["all", "last"] = field(default="all", metadata={"help": "that are trained"})
    restart: bool = field(default=False, metadata={"help": "draw the last layer anew first"})
    epochs: int = field(default=10, validator=_positive, metadata={"help": "passes over the data"})
    batch_size: int = field(default=64, validator=_positive, metadata={"help": "images a step"})
    optimizer: Literal["adam", "sgd"] = field(default="adam", metadata={"help": "which one"})
    lr: float = field(default=1e-3, validator=_positive, metadata={"help": "learning rate"})
    weight_decay: float = field(default=0.0, validator=validators.ge(0), metadata={"help": "L2"})
    shift: int = field(
        default=0, validator=validators.ge(0), metadata={"help": "augmentation: pixels, at most"}
    )

    @hookimpl
    def make_recovery(self, run: AttackRun) -> Recovery:
        """Train with the attacker's pool and streams."""
        return Tuner(run, self, self.recipe)

    @property
    def recipe(self) -> Recipe:
        """How the substitute is trained further."""
        return Recipe(
            epochs=self.epochs,
            batch_size=self.batch_size,
            optimizer=self.optimizer,
            lr=self.lr,
            weight_decay=self.weight_decay,
            shift=self.shift,
        )
