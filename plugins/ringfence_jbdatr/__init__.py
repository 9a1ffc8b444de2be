"""JBDA-TR: grow a few seeds into a transfer set by steps along the substitute's gradient."""

from __future__ import annotations

from typing import Any, Literal

from attrs import Attribute, define, field, validators

from ringfence import hookimpl
from ringfence.protocols import Attack
from ringfence.recipe import Recipe
from ringfence.run import AttackRun
from ringfence_jbdatr.attack import Augmentation
from ringfence_jbdatr.crafting import Jacobian, Noise, RandomTargets, Rule
from ringfence_jbdatr.growth import Growth

GREY, COLOUR = 64 / 255, 25.5 / 255  #: PRADA's two step sizes, by the channels of an image
LAMBDA = 0.1  #: Papernot's step
REACH = 1.85  #: all steps together, in eps: an image can cross most of the ball (ModelGuard's)

_positive: Any = validators.gt(0)
_count: Any = validators.optional(validators.gt(0))
_pixels: Any = validators.optional(validators.and_(validators.gt(0), validators.le(1)))


@define(eq=False)
class JbdaTr:
    """Crafts images on the substitute, asks the victim about them, trains, and again.

    ``rule=tr``: Juuti, Szyller, Marchal, Asokan, "PRADA", EuroS&P 2019 (T-RND), as AMAO takes
    it over (section 3.3, Algorithm 1). ``rule=jbda``: Papernot et al., AsiaCCS 2017. What the
    papers leave open is chosen in docs/plugins/jbdatr.md.
    """

    paper = "Juuti, Szyller, Marchal, Asokan: PRADA, EuroS&P 2019; Papernot et al., AsiaCCS 2017"
    threat = "black box; has a few images of the victim's kind; soft or hard labels"
    sends = "synthetic"  #: which of a data set's budgets is meant

    rule: Literal["tr", "jbda", "noise"] = field(
        default="tr",
        metadata={"help": "tr: random targets; jbda: Papernot's step; noise: a control"},
    )
    growth: Literal["doubling", "seeds"] = field(
        default="doubling", metadata={"help": "a round perturbs every image so far, or the seeds"}
    )
    rounds: int = field(
        default=6, validator=validators.ge(0), metadata={"help": "at most; 0: the seeds alone"}
    )
    copies: int = field(
        default=1, validator=_positive, metadata={"help": "new images of each one; not jbda"}
    )
    eps: float | None = field(
        default=None,
        validator=_pixels,
        metadata={"help": "largest change of a pixel; none: 64/255 grey, 0.1 colour or jbda"},
    )
    steps: int = field(default=8, validator=_positive, metadata={"help": "of a new image; rule tr"})
    step: float | None = field(
        default=None, validator=_pixels, metadata={"help": "of rule tr; none: 1.85 eps / steps"}
    )
    targets: Literal["other", "any"] = field(
        default="other", metadata={"help": "rule tr: may the predicted class be drawn; any: yes"}
    )
    direction: Literal["toward", "away"] = field(
        default="toward", metadata={"help": "rule jbda: raise the label's probability, or lower it"}
    )
    tau: int | None = field(
        default=None, validator=_count, metadata={"help": "rule jbda: rounds between turns"}
    )
    reservoir: int | None = field(
        default=None, validator=_count, metadata={"help": "most images that a round perturbs"}
    )
    reservoir_after: int = field(
        default=3, validator=validators.ge(0), metadata={"help": "rounds before that holds"}
    )
    rounded: bool = field(
        default=False, metadata={"help": "send 256 levels, as files have; a quarter of the memory"}
    )
    query_batch: int = field(
        default=256, validator=_positive, metadata={"help": "images crafted and sent at a time"}
    )
    argmax: bool = field(
        default=False, metadata={"help": "learn the top-1 class of each answer only"}
    )
    retrain: Literal["warm", "fresh"] = field(
        default="warm", metadata={"help": "warm: train the substitute on; fresh: a new one a round"}
    )
    epochs: int = field(default=20, validator=_positive, metadata={"help": "between two rounds"})
    final_epochs: int | None = field(
        default=None, validator=_count, metadata={"help": "after the last round; none: as before"}
    )
    batch_size: int = field(default=64, validator=_positive, metadata={"help": "images a step"})
    optimizer: Literal["adam", "sgd"] = field(
        default="adam", metadata={"help": "sgd needs a larger lr, such as 0.01"}
    )
    lr: float = field(default=1e-3, validator=_positive, metadata={"help": "learning rate"})
    momentum: float = field(
        default=0.9,
        validator=[validators.ge(0), validators.lt(1)],
        metadata={"help": "of sgd"},
    )
    weight_decay: float = field(default=0.0, validator=validators.ge(0), metadata={"help": "L2"})
    schedule: Literal["constant", "cosine"] = field(
        default="constant", metadata={"help": "cosine: down to zero in each training"}
    )

    @copies.validator
    def _refuse_equal_copies(self, attribute: Attribute[int], copies: int) -> None:
        if copies > 1 and self.rule == "jbda":
            raise ValueError(f"'copies' must be 1 with rule jbda, which draws nothing: {copies}")

    @hookimpl
    def make_attack(self, run: AttackRun) -> Attack:
        """Attack with the attacker's seeds and streams."""
        return Augmentation(
            run=run,
            rule=self._rule(run),
            growth=Growth(
                self.growth == "doubling", self.copies, self.reservoir, self.reservoir_after
            ),
            recipe=self.recipe,
            rounds=self.rounds,
            final_epochs=self.final_epochs or self.epochs,
            warm=self.retrain == "warm",
            query_batch=self.query_batch,
            rounded=self.rounded,
            argmax=self.argmax,
        )

    @property
    def recipe(self) -> Recipe:
        """How the substitute is trained between two rounds; nothing is augmented."""
        return Recipe(
            epochs=self.epochs,
            batch_size=self.batch_size,
            optimizer=self.optimizer,
            lr=self.lr,
            momentum=self.momentum,
            weight_decay=self.weight_decay,
            schedule=self.schedule,
        )

    def _rule(self, run: AttackRun) -> Rule:
        if self.rule == "jbda":
            return Jacobian(self.eps or LAMBDA, self.direction == "toward", self.tau)
        eps = self.eps or (GREY if run.image_shape[0] == 1 else COLOUR)
        if self.rule == "noise":
            return Noise(eps, run.generator("noise"))
        step = self.step or REACH * eps / self.steps
        any_class = self.targets == "any"
        return RandomTargets(eps, step, self.steps, any_class, run.generator("targets"))
