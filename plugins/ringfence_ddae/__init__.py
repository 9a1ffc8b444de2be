"""D-DAE: rehearse the expected defense on shadow models, and learn to undo it."""

from __future__ import annotations

from typing import Any, Literal

from attrs import Attribute, define, field, validators

from ringfence import hookimpl
from ringfence.errors import BadOption, RingfenceError
from ringfence.protocols import Recovery
from ringfence.run import AttackRun
from ringfence_ddae.expected import Expected, expected, require_known, require_told
from ringfence_ddae.material import BOUGHT, POOL
from ringfence_ddae.preparation import Preparation
from ringfence_ddae.recovery import Recoverer

_positive: Any = validators.gt(0)


def _known(plugin: object, option: Attribute[Any], names: tuple[str, ...]) -> None:
    try:
        require_known(names)
    except RingfenceError as error:
        raise ValueError(f"'{option.name}' is wrong: {error}") from error


def _legible(plugin: object, option: Attribute[Any], texts: tuple[str, ...]) -> None:
    try:
        require_told(texts)
    except RingfenceError as error:
        raise ValueError(f"'{option.name}' is wrong: {error}") from error


@define(eq=False)
class Ddae:
    """Restores disrupted answers; it is told which defense to expect, and composes with any attack.

    Chen, Guan, Gong, Dong, Xue, "D-DAE: Defense-Penetrating Model Extraction Attacks", S&P 2022.
    The hyper-parameters are those of the authors' code, but for the number of shadow models; see
    docs/plugins/ddae.md.
    """

    paper = "Chen, Guan, Gong, Dong, Xue: D-DAE, S&P 2022"
    threat = "black box; knows which defense may be in place, can run it, and buys shadow data"

    expects: tuple[str, ...] = field(
        default=("deceptive",),
        validator=[validators.min_len(1), _known],
        metadata={"help": "defenses that may be in place; each is rehearsed"},
    )
    told: tuple[str, ...] = field(
        default=(),
        validator=_legible,
        metadata={"help": "options that defenses are believed to have, NAME.FIELD=VALUE each"},
    )
    shadows: int = field(
        default=64,
        validator=validators.ge(6),
        metadata={"help": "shadow models; the paper has 2,304"},
    )
    data: str = field(
        default=BOUGHT,
        validator=validators.min_len(1),
        metadata={
            "help": f"what they learn: {BOUGHT} answers, the {POOL}'s own classes, a public set's"
        },
    )
    images: int = field(
        default=200, validator=validators.ge(2), metadata={"help": "that each of them learns"}
    )
    share: float = field(
        default=0.25,
        validator=[_positive, validators.lt(1)],
        metadata={"help": "of the budget that may be spent before the attack"},
    )
    model: Literal["small", "substitute"] = field(
        default="small", metadata={"help": "architecture of a shadow model; small: the paper's"}
    )
    epochs: int | None = field(
        default=None,
        validator=validators.optional(_positive),
        metadata={"help": "of a shadow model; none: 40 for grey images, 100 for colour"},
    )
    when: Literal["always", "detected"] = field(
        default="detected",
        metadata={
            "help": "restore all answers; or none where a detector that works finds nothing, or "
            "where restoring makes those of the attacker's own models worse"
        },
    )
    hard: Literal["restore", "reject", "keep"] = field(
        default="reject",
        metadata={"help": "hard labels: restore, refuse those in doubt, or leave as they are"},
    )
    beside: Literal["hard", "always", "never"] = field(
        default="hard",
        metadata={"help": "answers that are restored with the attacker's own posterior beside"},
    )
    doubt: float = field(
        default=0.01,
        validator=[_positive, validators.lt(1)],
        metadata={"help": "hard=reject: own posterior below which an answer is refused"},
    )
    warmup: int = field(
        default=200,
        validator=validators.ge(0),
        metadata={"help": "pool images that a rehearsed client sends before, to be suspected"},
    )
    repeats: int = field(
        default=5, validator=_positive, metadata={"help": "meta-classifiers, of which one is kept"}
    )
    steps: int = field(
        default=400,
        validator=_positive,
        metadata={"help": "of a meta-classifier, at least; ten epochs if these are more"},
    )
    pairs: int = field(
        default=50_000,
        validator=validators.ge(2),
        metadata={"help": "answers that the restorer learns from"},
    )
    balance: bool | None = field(
        default=None,
        metadata={"help": "half of the pairs are changed ones; none: what restores better"},
    )
    passes: int = field(
        default=20, validator=_positive, metadata={"help": "epochs of the restorer"}
    )

    @hookimpl
    def make_recovery(self, run: AttackRun) -> Recovery:
        """Refuse what cannot be rehearsed; prepare when the oracle is there to be asked."""
        if self.beside == "always" and self.data != BOUGHT:
            raise BadOption(
                f"The attacker's own posterior needs shadow models of the victim's classes: leave "
                f"ddae.data at {BOUGHT!r}, or ddae.beside at 'hard'.",
                option="ddae.beside",
            )
        return Recoverer(run, Preparation(run, self, self.rehearsed))

    @property
    def rehearsed(self) -> tuple[Expected, ...]:
        """The expected defenses with their options."""
        return expected(self.expects, self.told)
