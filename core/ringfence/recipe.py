"""How a model is trained when nothing else is said: one value object for every loop.

A recipe is put together from three places, later ones winning: the model's class
attribute ``recipe``, the ``recipe`` entry of the data set's ``defaults``, and the user's
``-o training.FIELD=VALUE``.
"""

from __future__ import annotations

from typing import Any, Literal

from attrs import field, frozen, validators

NAME = "training"  #: a recipe's options are given as ``-o training.FIELD=VALUE``

_positive: Any = validators.gt(0)
_not_negative: Any = validators.ge(0)


@frozen(kw_only=True)
class Recipe:
    """Hyper-parameters of :func:`ringfence.training.fit`."""

    epochs: int = field(default=10, validator=_positive, metadata={"help": "passes over the data"})
    batch_size: int = field(default=128, validator=_positive, metadata={"help": "images a step"})
    optimizer: Literal["adam", "sgd"] = field(
        default="adam", validator=validators.in_(("adam", "sgd")), metadata={"help": "which one"}
    )
    lr: float = field(default=1e-3, validator=_positive, metadata={"help": "learning rate"})
    momentum: float = field(
        default=0.9,
        validator=[_not_negative, validators.lt(1)],
        metadata={"help": "of sgd"},
    )
    weight_decay: float = field(
        default=0.0, validator=_not_negative, metadata={"help": "L2 penalty"}
    )
    schedule: Literal["constant", "cosine", "step"] = field(
        default="constant",
        validator=validators.in_(("constant", "cosine", "step")),
        metadata={"help": "cosine: down to zero, step by step; step: times gamma"},
    )
    step_epochs: int = field(
        default=60, validator=_positive, metadata={"help": "schedule step: epochs between steps"}
    )
    gamma: float = field(
        default=0.1, validator=_positive, metadata={"help": "schedule step: factor"}
    )
    shift: int = field(
        default=0,
        validator=_not_negative,
        metadata={"help": "augmentation: random shift, in pixels, black beyond the edge"},
    )
    flip: bool = field(default=False, metadata={"help": "augmentation: random left-right flip"})
