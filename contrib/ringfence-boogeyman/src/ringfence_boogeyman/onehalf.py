"""The one-and-a-half classifier: is this query of the victim's kind at all?"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any, Literal

import torch
from attrs import define, field, validators
from torch import Tensor, nn

from ringfence import hookimpl
from ringfence.errors import BadOption
from ringfence.fingerprint import fingerprint
from ringfence.plugins import find
from ringfence.protocols import Detector
from ringfence.randomness import seeded
from ringfence.run import DefenseRun
from ringfence_boogeyman import gate, logistic, scratch
from ringfence_boogeyman.blocks import in_blocks
from ringfence_boogeyman.embedding import SIZE, embedding
from ringfence_boogeyman.outliers import learnt, some
from ringfence_boogeyman.presets import PRESETS, Form
from ringfence_boogeyman.weights import digest

_optional = validators.optional
_positive: Any = validators.gt(0)
LogOdds = Callable[[Tensor], Tensor]  #: float images of one block -> ``(N,)`` float64


@define(eq=False)
class OneHalf:
    """Flags what a binary classifier takes for an outlier, and suspects clients of many such.

    Atli, Szyller, Juuti, Marchal, Asokan, 2020, section 4: the victim's training images against
    images of any kind. A frozen network below a logistic regression, or one trained from scratch.
    """

    paper = "Atli et al.: Extraction of Complex DNN Models: Real Threat or Boogeyman?, 2020"
    threat = "natural images that are none of the victim's task; not those that are"

    preset: (
        Literal["rn18", "rn34", "rn18x", "rn34x", "rn18xcv", "rn34xcv", "rn101xcv", "rn152xcv"]
        | None
    ) = field(
        default=None,
        validator=_optional(validators.in_(tuple(PRESETS))),
        metadata={"help": "a detector of the paper's Table 3: sets backbone and scratch"},
    )
    backbone: str | None = field(
        default=None,
        validator=_optional(validators.min_len(1)),
        metadata={"help": "victim (the default), or torchvision's name; of scratch: a model"},
    )
    scratch: bool | None = field(
        default=None, metadata={"help": "train the backbone from scratch, else it is frozen"}
    )
    pretrained: str = field(
        default="imagenet",
        validator=validators.min_len(1),
        metadata={"help": "weights of a frozen backbone: a file, or a name of torchvision's"},
    )
    size: int = field(
        default=SIZE,
        validator=_positive,
        metadata={"help": "pixels a side in a frozen backbone of torchvision's"},
    )
    exclude_classes: tuple[int, ...] = field(
        default=(),
        validator=validators.deep_iterable(validators.ge(0)),
        metadata={"help": "the victim's classes that outliers also show: not learnt from"},
    )
    limit: int | None = field(
        default=None,
        validator=_optional(validators.ge(2)),
        metadata={"help": "most images of each side that are learnt from; none: all"},
    )
    folds: int = field(
        default=10, validator=validators.ge(2), metadata={"help": "of the cross-validation"}
    )
    balanced: bool = field(
        default=False, metadata={"help": "both sides of the regression count alike"}
    )
    epochs: int = field(default=200, validator=_positive, metadata={"help": "of scratch"})
    batch_size: int = field(default=128, validator=_positive, metadata={"help": "of scratch"})
    probability: float = field(
        default=0.5,
        validator=[validators.gt(0), validators.lt(1)],
        metadata={"help": "flag what is an outlier with it, or a larger one"},
    )
    tnr: float | None = gate.tnr(None)
    min_queries: int = gate.min_queries()
    share: float | None = gate.share()
    tail: float = gate.tail()
    block: int = gate.block()

    def __attrs_post_init__(self) -> None:
        """Refuse options that do not go together, and names that nobody has."""
        if self.exclude_classes and self.preset and PRESETS[self.preset].overlap:
            raise ValueError(
                f"'exclude_classes' makes {self.preset!r} another of the presets: {self.preset}x"
            )
        if self.form.scratch:
            find("models", self.form.backbone)

    @property
    def form(self) -> Form:
        """The preset's backbone and kind, but for what was given."""
        form = PRESETS[self.preset] if self.preset else Form()
        backbone = self.backbone or form.backbone
        is_scratch = form.scratch if self.scratch is None else self.scratch
        return Form(backbone, is_scratch, form.overlap)

    @hookimpl
    def make_detector(self, run: DefenseRun, victim: nn.Module) -> Detector:
        """Learn to tell training images from outliers."""
        make = self._scratch if self.form.scratch else self._frozen
        log_odds, told = make(run, victim)

        def score(images: Tensor, logits: Tensor) -> Tensor:
            return in_blocks(log_odds, images, self.block)

        benign = gate.scores(score, victim, run.validation.images)
        threshold = math.log(self.probability / (1 - self.probability))
        if self.tnr is not None:
            threshold = gate.threshold_at(benign, self.tnr)
        return gate.make_gate(run, victim, score, benign, threshold, self, told)

    def _frozen(self, run: DefenseRun, victim: nn.Module) -> tuple[LogOdds, dict[str, float]]:
        """Return log-odds from frozen features; these are computed once, and kept."""
        embed = embedding(run, victim, self.form.backbone, self.pretrained, self.size, self.block)
        sides = self._sides(run)
        key = fingerprint(digest(self.pretrained))
        inside, outside = run.cached(f"features/{key}", lambda: [embed(images) for images in sides])
        seed = run.streams.seed_for("folds") % 2**32
        kept = run.cached(
            f"regression/{key}",
            lambda: logistic.dump(
                logistic.fit(inside, outside, self.folds, balanced=self.balanced, seed=seed)
            ),
        )
        found = logistic.Logistic(**kept)
        told = {"c": found.c, "log_loss": found.loss, "features": len(found.weights)}
        return (lambda images: found(embed.of_block(images))), told

    def _scratch(self, run: DefenseRun, victim: nn.Module) -> tuple[LogOdds, dict[str, float]]:
        """Return log-odds from a network that knows nothing but the two sides."""
        with seeded(run.streams, "backbone"):
            net = scratch.fresh(self.form.backbone, run.image_shape, run.device)
        recipe = scratch.recipe(self.epochs, self.batch_size)
        net.load_state_dict(
            run.cached(
                "scratch",
                lambda: scratch.learn(net, *self._sides(run), recipe, run.generator("scratch")),
            )
        )
        return partial(scratch.log_odds, net.eval()), {"epochs": self.epochs}

    def _sides(self, run: DefenseRun) -> tuple[Tensor, Tensor]:
        """Return the images that are learnt from: the victim's, and outliers."""
        strange = [label for label in self.exclude_classes if label >= run.num_classes]
        excluded = torch.tensor(self.exclude_classes, dtype=torch.int64, device=run.device)
        inside = run.train.images[~torch.isin(run.train.labels, excluded)]
        if strange or not len(inside):
            raise BadOption(
                f"Option 'exclude_classes' names {list(self.exclude_classes)} of the classes 0 to "
                f"{run.num_classes - 1}. Name some of them, not all.",
                option=f"{run.store.plugin}.exclude_classes",
            )
        outside = learnt(run.outliers)
        draw = (run.generator(f"sides/{side}") for side in ("inside", "outside"))
        return some(inside, self.limit, next(draw)), some(outside, self.limit, next(draw))
