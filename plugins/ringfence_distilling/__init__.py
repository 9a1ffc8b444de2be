"""Distilling: a fresh model learns from the stolen one, and is judged in its place."""

from __future__ import annotations

from typing import Any, Literal

from attrs import define, field, validators

from ringfence import hookimpl
from ringfence.protocols import Recovery
from ringfence.recipe import Recipe
from ringfence.run import AttackRun
from ringfence_distilling.distiller import Distiller

_positive: Any = validators.gt(0)


@define(eq=False)
class Distilling:
    """Fits a new substitute to the soft answers of the stolen one, to be rid of a watermark.

    Hinton, Vinyals, Dean, "Distilling the Knowledge in a Neural Network", 2015. See
    docs/plugins/distilling.md.
    """

    paper = "Hinton, Vinyals, Dean: Distilling the Knowledge in a Neural Network, 2015"
    threat = "owns the substitute; a verifier that asks it for what it has memorised"

    on: Literal["seen", "pool", "both"] = field(
        default="seen", metadata={"help": "images: those that were sent, the pool, or both"}
    )
    temperature: float = field(
        default=1.0,
        validator=[_positive, validators.le(1000)],
        metadata={"help": "by which the logits of both models are divided"},
    )
    epochs: int = field(default=50, validator=_positive, metadata={"help": "passes over the data"})
    batch_size: int = field(default=64, validator=_positive, metadata={"help": "images a step"})
    optimizer: Literal["adam", "sgd"] = field(default="adam", metadata={"help": "which one"})
    lr: float = field(default=1e-3, validator=_positive, metadata={"help": "learning rate"})
    weight_decay: float = field(default=0.0, validator=validators.ge(0), metadata={"help": "L2"})
    shift: int = field(
        default=0, validator=validators.ge(0), metadata={"help": "augmentation: pixels, at most"}
    )

    @hookimpl
    def make_recovery(self, run: AttackRun) -> Recovery:
        """Distil with the attacker's pool and streams."""
        return Distiller(run, self, self.recipe)

    @property
    def recipe(self) -> Recipe:
        """How the fresh model is trained."""
        return Recipe(
            epochs=self.epochs,
            batch_size=self.batch_size,
            optimizer=self.optimizer,
            lr=self.lr,
            weight_decay=self.weight_decay,
            shift=self.shift,
        )
