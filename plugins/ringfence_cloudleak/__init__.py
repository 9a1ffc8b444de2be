"""CloudLeak: fine-tune a pre-trained substitute on adversarial images, crafted with itself."""

from __future__ import annotations

from typing import Any, Literal

from attrs import define, evolve, field, validators

from ringfence import hookimpl
from ringfence.protocols import Attack
from ringfence.recipe import Recipe
from ringfence.run import AttackRun
from ringfence_cloudleak.attack import Leak
from ringfence_cloudleak.crafting import Crafter
from ringfence_cloudleak.pretraining import POOL, Start
from ringfence_cloudleak.solvers import gradient, lbfgs

_positive: Any = validators.gt(0)
_not_negative: Any = validators.ge(0)
_pixels: Any = validators.optional(validators.and_(validators.gt(0), validators.le(1)))
_text: Any = validators.min_len(1)


@define(eq=False)
class CloudLeak:
    """Moves each seed's late features to those of images of other classes, and asks.

    Yu, Yang, Zhang, Tsai, Ho, Jin, "CloudLeak", NDSS 2020 (FeatureFool, equations 8 to 11, and
    transfer learning), as AMAO takes it over (sections 3.3 and 5.1.2). What the papers leave
    open is chosen in docs/plugins/cloudleak.md.
    """

    paper = "Yu, Yang, Zhang, Tsai, Ho, Jin: CloudLeak, NDSS 2020"
    threat = "black box; has a few images of the victim's kind and public ones; soft or hard labels"
    sends = "synthetic"  #: which of a data set's budgets is meant

    weights: str | None = field(
        default=None,
        validator=validators.optional(_text),
        metadata={"help": "file of weights to start from (.safetensors, .pth); none: pre-train"},
    )
    pretrain_on: str = field(
        default=POOL,
        validator=_text,
        metadata={"help": "pool, nothing, or a public data set by name, such as emnist:letters"},
    )
    pretrain_task: Literal["labels", "rotation"] = field(
        default="labels",
        metadata={"help": "the public set's own labels where it has any; or how images are turned"},
    )
    pretrain_epochs: int = field(
        default=10, validator=_positive, metadata={"help": "passes over the public set"}
    )
    freeze: Literal["nothing", "convolutions", "body"] = field(
        default="nothing",
        metadata={"help": "layers that are not fine-tuned; body: all but the last"},
    )
    guides: Literal["seeds", "pool"] = field(
        default="seeds", metadata={"help": "whose features are imitated: other seeds', the pool's"}
    )
    pool_guides: int = field(
        default=1000, validator=_positive, metadata={"help": "random guides; guides pool"}
    )
    margin: Literal["class", "alpha"] = field(
        default="class", metadata={"help": "alpha less the guide's class's spread, or alpha alone"}
    )
    alpha: float = field(default=0.5, metadata={"help": "of the margin"})
    normalise: bool = field(default=True, metadata={"help": "compare features of length 1"})
    mu: float = field(
        default=1e-3, validator=_not_negative, metadata={"help": "weight of the squared distance"}
    )
    eps: float | None = field(
        default=None,
        validator=_pixels,
        metadata={"help": "largest change of a pixel; none: any within [0, 1]"},
    )
    solver: Literal["gradient", "lbfgs"] = field(
        default="gradient", metadata={"help": "all pairs at once, or SciPy's L-BFGS-B one by one"}
    )
    steps: int = field(default=20, validator=_positive, metadata={"help": "iterations of a solver"})
    craft_batch: int = field(
        default=256, validator=_positive, metadata={"help": "pairs at once; solver gradient"}
    )
    rounds: int = field(
        default=5, validator=_positive, metadata={"help": "of crafting, asking and fine-tuning"}
    )
    round_epochs: int = field(
        default=5, validator=_positive, metadata={"help": "of fine-tuning between two rounds"}
    )
    choose: Literal["random", "confidence", "margin"] = field(
        default="random", metadata={"help": "which crafted images are sent: the least sure ones"}
    )
    surplus: float = field(
        default=2.0,
        validator=validators.ge(1),
        metadata={"help": "pairs crafted for one query; choose confidence or margin"},
    )
    epochs: int = field(
        default=20, validator=_positive, metadata={"help": "of fine-tuning on seeds and at the end"}
    )
    restart: bool = field(
        default=False, metadata={"help": "fine-tune from the pre-trained weights again at the end"}
    )
    optimizer: Literal["sgd", "adam"] = field(
        default="sgd", metadata={"help": "adam needs a smaller lr, such as 0.001"}
    )
    lr: float = field(default=0.01, validator=_positive, metadata={"help": "learning rate"})
    momentum: float = field(
        default=0.9, validator=[_not_negative, validators.lt(1)], metadata={"help": "of sgd"}
    )
    weight_decay: float = field(default=5e-4, validator=_not_negative, metadata={"help": "L2"})
    batch_size: int = field(default=64, validator=_positive, metadata={"help": "images a step"})
    query_batch: int = field(default=256, validator=_positive, metadata={"help": "images a query"})
    rounded: bool = field(
        default=False, metadata={"help": "send 256 levels, as files have; a quarter of the memory"}
    )
    argmax: bool = field(
        default=False, metadata={"help": "learn the top-1 class of each answer only"}
    )

    @property
    def marks(self) -> tuple[str, ...]:
        """What a reader of the result must know of where the substitute started."""
        on_pool = self.weights is None and self.pretrain_on == POOL
        return ("pretrained_on_pool",) if on_pool else ()

    @property
    def recipe(self) -> Recipe:
        """How the substitute is fine-tuned, and pre-trained; nothing is augmented."""
        return Recipe(
            epochs=self.epochs,
            batch_size=self.batch_size,
            optimizer=self.optimizer,
            lr=self.lr,
            momentum=self.momentum,
            weight_decay=self.weight_decay,
        )

    @property
    def crafter(self) -> Crafter:
        """FeatureFool with these options."""
        return Crafter(
            alpha=self.alpha,
            by_class=self.margin == "class",
            mu=self.mu,
            eps=self.eps,
            normalised=self.normalise,
            solver={"gradient": gradient, "lbfgs": lbfgs}[self.solver],
            steps=self.steps,
            batch=self.craft_batch,
        )

    @hookimpl
    def make_attack(self, run: AttackRun) -> Attack:
        """Attack with the attacker's seeds, pool and streams."""
        pretraining = evolve(self.recipe, epochs=self.pretrain_epochs)
        return Leak(
            run=run,
            start=Start(self.weights, self.pretrain_on, self.pretrain_task, pretraining),
            crafter=self.crafter,
            recipe=self.recipe,
            rounds=self.rounds,
            round_epochs=self.round_epochs,
            restart=self.restart,
            freeze=self.freeze,
            choice=self.choose,
            surplus=1.0 if self.choose == "random" else self.surplus,
            pool_guides=self.pool_guides if self.guides == "pool" else 0,
            query_batch=self.query_batch,
            rounded=self.rounded,
            argmax=self.argmax,
        )
