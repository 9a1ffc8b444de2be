"""KnockoffNet: buy answers for images of another distribution, and imitate them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from attrs import Attribute, define, field, validators

from ringfence import hookimpl
from ringfence.protocols import Attack
from ringfence.recipe import Recipe
from ringfence.run import AttackRun
from ringfence_knockoffnet.adaptive import adaptive
from ringfence_knockoffnet.attack import Knockoff, Strategy
from ringfence_knockoffnet.sampling import Uniform, uniform

REWARDS = ("certainty", "diversity", "loss")

_positive: Any = validators.gt(0)
_share: Any = [validators.ge(0), validators.lt(1)]


def _each_once(plugin: object, option: Attribute[Any], value: Sequence[str]) -> None:
    if len(set(value)) < len(value):
        raise ValueError(f"'{option.name}' must name each reward once: {value!r}")


_rewards: Any = [
    validators.min_len(1),
    validators.deep_iterable(validators.in_(REWARDS)),
    _each_once,
]


@define(eq=False)
class KnockoffNet:
    """Sends images of the pool and fits the substitute to the answers.

    Orekondy, Schiele, Fritz, "Knockoff Nets", CVPR 2019, section 4.1: images are drawn at random,
    or by a gradient bandit over classes of the pool. The hyper-parameters of training are those
    of the authors' released code, but for 50 epochs as in AMAO, section 5.1.2; see
    docs/plugins/knockoffnet.md.
    """

    paper = "Orekondy, Schiele, Fritz: Knockoff Nets, CVPR 2019"
    threat = "black box; has images, their own classes not needed; soft or hard labels"
    sends = "pool"  #: which of a data set's budgets is meant

    epochs: int = field(default=50, validator=_positive, metadata={"help": "of the substitute"})
    batch_size: int = field(default=64, validator=_positive, metadata={"help": "images a step"})
    optimizer: Literal["sgd", "adam"] = field(
        default="sgd", metadata={"help": "adam needs a smaller lr, such as 0.001"}
    )
    lr: float = field(default=0.01, validator=_positive, metadata={"help": "learning rate"})
    momentum: float = field(default=0.5, validator=_share, metadata={"help": "of sgd"})
    weight_decay: float = field(default=0.0, validator=validators.ge(0), metadata={"help": "L2"})
    schedule: Literal["step", "cosine"] = field(
        default="step", metadata={"help": "step: a tenth after step_epochs; cosine: down to zero"}
    )
    step_epochs: int = field(
        default=60, validator=_positive, metadata={"help": "epochs until lr is divided by ten"}
    )
    argmax: bool = field(
        default=False, metadata={"help": "learn the top-1 class of each answer only"}
    )
    strategy: Literal["random", "adaptive"] = field(
        default="random", metadata={"help": "adaptive: answers decide what is asked next"}
    )
    rewards: tuple[str, ...] = field(
        default=REWARDS,
        validator=_rewards,
        metadata={"help": f"of the adaptive strategy, any of {', '.join(REWARDS)}"},
    )
    clusters: int | None = field(
        default=None,
        validator=validators.optional(_positive),
        metadata={"help": "adaptive: none: choose among the pool's classes, if any, else 30"},
    )
    window: int = field(
        default=100,
        validator=_positive,
        metadata={"help": "adaptive: past queries that a reward is compared with"},
    )
    query_batch: int = field(
        default=256,
        validator=_positive,
        metadata={"help": "images a query; the adaptive strategy learns after each"},
    )
    repeat: bool = field(
        default=False, metadata={"help": "go through a pool again that is too small"}
    )
    held_out: float = field(
        default=0.0,
        validator=_share,
        metadata={"help": "share of the answers not learnt but used to report fidelity"},
    )

    @hookimpl
    def make_attack(self, run: AttackRun) -> Attack:
        """Attack with the attacker's pool and streams."""

        def strategy(queries: int) -> Strategy:
            if self.strategy == "adaptive":
                return adaptive(run, self.recipe, self.clusters, self.rewards, self.window)
            return Uniform(uniform(len(run.pool), queries, run.generator("pool")))

        return Knockoff(
            run,
            strategy,
            self.recipe,
            self.query_batch,
            self.held_out,
            self.argmax,
            self.repeat,
        )

    @property
    def recipe(self) -> Recipe:
        """How the substitute is trained; nothing is augmented."""
        return Recipe(
            epochs=self.epochs,
            batch_size=self.batch_size,
            optimizer=self.optimizer,
            lr=self.lr,
            momentum=self.momentum,
            weight_decay=self.weight_decay,
            schedule=self.schedule,
            step_epochs=self.step_epochs,
        )
