"""AMAO: adversarial training, malicious query detection, adaptive response, ownership."""

from __future__ import annotations

from functools import partial
from typing import Any, Literal

from attrs import define, field, validators
from torch import nn

from ringfence import hookimpl
from ringfence.calibration import installed_attack, installed_pool, rehearsal_key
from ringfence.confidence import max_softmax
from ringfence.flags import (
    LARGEST_WINDOW,
    MIN_QUERIES,
    BinomialNoise,
    FixedShare,
    Limits,
    Suspicion,
)
from ringfence.protocols import Detector, Responder, Trainer, Verifier
from ringfence.run import DefenseRun
from ringfence.unsure import Unsure
from ringfence_amao.anytime import Anytime
from ringfence_amao.detect import Calibration
from ringfence_amao.policy import policy_of
from ringfence_amao.presets import FAST_STRIDE, OTHER, PRESETS, TRAININGS
from ringfence_amao.respond import Replies
from ringfence_amao.train import Crafting, Hardened
from ringfence_amao.verify import Witness

_names: Any = validators.deep_iterable(validators.min_len(1))
_optional = validators.optional
_inside: Any = validators.and_(validators.gt(0), validators.lt(1))
_share: Any = validators.and_(validators.ge(0), validators.le(1))


@define(eq=False)
class Amao:
    """All four phases: train, detect, respond, verify.

    "A Comprehensive Defense Framework against Model Extraction Attacks" (AMAO), sections 4.2 to
    4.5; what it leaves open is an option here, see docs/plugins/amao.md.
    """

    paper = "A Comprehensive Defense Framework against Model Extraction Attacks (AMAO)"
    threat = "clients that send synthetic or surrogate images; each is judged by its own queries"
    trained_by = ("attack", "epsilon", "step", "steps", "mix")  # the rest leaves the victim alone

    preset: Literal["ringfence", "paper"] = field(
        default="ringfence",
        metadata={
            "help": "sets similarity, same_class, suspicion, rule, hash where these are none"
        },
    )

    # train
    attack: Literal["pgd", "fgsm", "fgsm_rs"] | None = field(
        default=None, metadata={"help": "of adversarial training; none: by data set, as below"}
    )
    epsilon: float | None = field(
        default=None,
        validator=_optional(validators.and_(validators.ge(0), validators.le(1))),
        metadata={"help": "its radius, maximum norm in [0, 1]; 0: train plainly"},
    )
    step: float | None = field(
        default=None,
        validator=_optional(validators.gt(0)),
        metadata={"help": "its step; none: a share of epsilon by data set, 1.25 for fgsm_rs"},
    )
    steps: int | None = field(
        default=None, validator=_optional(validators.ge(1)), metadata={"help": "of pgd"}
    )
    mix: float = field(
        default=0.5,
        validator=[validators.gt(0), validators.le(1)],
        metadata={"help": "share of the loss on adversarial images"},
    )

    # detect
    temperature: float | None = field(
        default=None,
        validator=_optional(validators.gt(0)),
        metadata={"help": "T of the TMSP; none: calibrated, or 1 beside a given threshold"},
    )
    threshold: float | None = field(
        default=None,
        validator=_optional(_inside),
        metadata={"help": "flag a TMSP up to it; none: calibrated"},
    )
    calibrate_on: str = field(
        default="jbdatr",
        validator=installed_attack,
        metadata={"help": "attack that is rehearsed to calibrate"},
    )
    pool: str = field(
        default="outliers",
        validator=installed_pool,
        metadata={"help": "its images: outliers, train, validation, or a data set"},
    )
    rehearsal_budget: int = field(
        default=500, validator=validators.gt(0), metadata={"help": "its queries, seeds included"}
    )
    malicious: int = field(
        default=100, validator=validators.gt(0), metadata={"help": "queries of it learnt from"}
    )
    suspicion: Literal["cumulative", "windowed", "anytime"] | None = field(
        default=None,
        metadata={"help": "S over all queries, the last ones, or by a bet that holds at any time"},
    )
    window: int = field(
        default=100,
        validator=[validators.gt(0), validators.le(LARGEST_WINDOW)],
        metadata={"help": "how many last ones"},
    )
    min_queries: int = field(
        default=MIN_QUERIES,
        validator=validators.gt(0),
        metadata={"help": "clients with fewer are not suspected"},
    )
    share_flagged: float | None = field(
        default=None,
        validator=_optional(_inside),
        metadata={"help": "suspect from a larger S on, as the paper's 0.1; none: calibrated"},
    )
    tail: float = field(
        default=1e-9,  # a million looks, at the worst rate that validation allows: 1 in 1,000
        validator=_inside,
        metadata={"help": "chance that benign noise exceeds S, at one look; of anytime: ever"},
    )

    # respond
    period: int = field(
        default=16, validator=validators.ge(2), metadata={"help": "queries of a group: one flip"}
    )
    rule: Literal["exact", "paper", "random"] | None = field(
        default=None, metadata={"help": "how many queries of a group pass, or a random one's flip"}
    )
    label: Literal["least", "random"] = field(
        default="least", metadata={"help": "the class that a flipped answer says"}
    )
    replay: bool = field(
        default=True, metadata={"help": "answer what is similar to a flipped query like it"}
    )
    similarity: float | None = field(
        default=None,
        validator=_optional(_inside),
        metadata={"help": "share of equal bits from which two hashes are similar"},
    )
    calibrate_similarity: bool = field(
        default=False, metadata={"help": "find it on the rehearsed attack, as AMAO's table 12"}
    )
    same_class: bool | None = field(
        default=None, metadata={"help": "a replay needs the victim's class to be the same"}
    )
    scope: Literal["client", "all"] = field(
        default="client", metadata={"help": "whose flips are replayed: one's own, or everybody's"}
    )
    hash: Literal["median", "mean", "mean_no_dc", "imagehash"] | None = field(
        default=None,
        metadata={"help": "rule of the perceptual hash; median is imagehash from 224 pixels"},
    )
    driven_by: tuple[str, ...] = field(
        default=(), validator=_names, metadata={"help": "detectors; empty: its own, if there is"}
    )
    always: bool = field(
        default=False, metadata={"help": "treat every client as suspected; for ablations"}
    )

    # verify
    min_pairs: int = field(
        default=20, validator=validators.ge(1), metadata={"help": "flips that a record needs"}
    )
    innocent: float = field(
        default=0.01,
        validator=_share,
        metadata={"help": "share of flips that an innocent model may repeat, at least"},
    )
    share: float = field(
        default=0.0,
        validator=_share,
        metadata={"help": "the paper's t: share that must be exceeded, whatever the p-value"},
    )
    alpha: float = field(
        default=1e-3, validator=_inside, metadata={"help": "p-value below which a model is stolen"}
    )

    @hookimpl
    def make_trainer(self, run: DefenseRun) -> Trainer | None:
        """Train with adversarial images; plainly where epsilon is 0."""
        preset = TRAININGS.get(run.dataset, OTHER)
        epsilon = preset.epsilon if self.epsilon is None else self.epsilon
        if epsilon == 0:
            return None
        attack = self.attack or preset.attack
        usual = epsilon * (FAST_STRIDE if attack == "fgsm_rs" else preset.stride)
        crafting = Crafting(attack, epsilon, self.step or usual, self.steps or preset.steps)
        return Hardened(run, crafting, self.mix)

    def __attrs_post_init__(self) -> None:
        """Refuse a window in which nobody could be judged."""
        if self._suspicion == "windowed" and self.window < self.min_queries:
            raise ValueError(
                f"'window' must be at least min_queries, {self.min_queries}: {self.window}"
            )

    @hookimpl
    def make_detector(self, run: DefenseRun, victim: nn.Module) -> Detector:
        """Calibrate on the victim what was not given."""
        calibration = Calibration(
            self.temperature, self.threshold, self.calibrate_on, self.rehearsal_budget, self.pool,
            self.malicious,
        )  # fmt: skip
        key = "given" if self.threshold is not None else rehearsal_key(self.calibrate_on)
        found = run.cached(key, lambda: calibration.find(run, victim))
        window = self.window if self._suspicion == "windowed" else None
        limits = self._limits(found["highest_rate"])
        suspicion = Suspicion(run.store, limits, self.min_queries, window)
        confidence = partial(max_softmax, temperature=found["temperature"])
        return Unsure(confidence, found["threshold"], suspicion, found)

    @hookimpl
    def make_responder(self, run: DefenseRun, victim: nn.Module) -> Responder:
        """Flip one answer in every group of a suspected client, and replay it."""
        return Replies(run, policy_of(self, run, victim), self.driven_by, self.always)

    @hookimpl
    def make_verifier(self, run: DefenseRun) -> Verifier:
        """Look for the flips of each client in a suspect."""
        return Witness(run, self.min_pairs, self.innocent, self.share, self.alpha)

    @property
    def _suspicion(self) -> str:
        return self.suspicion or PRESETS[self.preset].suspicion

    def _limits(self, rate: float) -> Limits:
        if self.share_flagged is not None:
            return FixedShare(self.share_flagged)
        if self._suspicion == "anytime":
            return Anytime(rate, self.tail)
        return BinomialNoise(rate, self.tail)
