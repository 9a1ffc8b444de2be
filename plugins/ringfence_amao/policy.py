"""Which answers of a suspected client are changed, and into what: from options and presets."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from attrs import frozen
from torch import nn

from ringfence.calibration import rehearsal_key
from ringfence.images import as_float
from ringfence.run import DefenseRun
from ringfence_amao import stopping
from ringfence_amao.phash import BITS
from ringfence_amao.presets import LARGE, PRESETS
from ringfence_amao.similarity import calibrate, rehearsed_pairs

if TYPE_CHECKING:
    from ringfence_amao import Amao

NEVER = 2.0  #: a similarity that no two hashes have


@frozen
class Policy:
    """Which answers are changed, and into what."""

    period: int  #: queries of a group, which has one flip
    reject: int | None  #: how many of them pass at first; none: a random one is flipped
    label: str  #: least or random
    radius: int  #: bits up to which a query is similar to a recorded one; -1: none is
    same_class: bool  #: ... and the victim must give both the same class
    everybody: bool  #: one record for all suspected clients, not one for each
    hash: str


def policy_of(amao: Amao, run: DefenseRun, victim: nn.Module) -> Policy:
    """Fill what the options leave open from the preset, or by calibration on ``victim``."""
    preset = PRESETS[amao.preset]
    rule = amao.hash or preset.hash
    if amao.hash is None and rule == "median" and max(run.image_shape[1:]) >= LARGE:
        rule = "imagehash"  # which has the same rule
    similarity = _similarity(amao, run, victim, rule) if amao.replay else NEVER
    return Policy(
        period=amao.period,
        reject=_reject(amao.rule or preset.rule, amao.period),
        label=amao.label,
        radius=math.floor((1 - similarity) * BITS + 1e-9),
        same_class=preset.same_class if amao.same_class is None else amao.same_class,
        everybody=amao.scope == "all",
        hash=rule,
    )


def _similarity(amao: Amao, run: DefenseRun, victim: nn.Module, rule: str) -> float:
    if amao.similarity is not None:
        return amao.similarity
    if not amao.calibrate_similarity:
        preset = PRESETS[amao.preset]
        return preset.similarities.get(run.dataset, preset.similarity)

    def find() -> float:
        told = (amao.calibrate_on, amao.rehearsal_budget, amao.pool)
        made = rehearsed_pairs(run, victim, *told)
        return calibrate(made, as_float(run.validation.images), rule).threshold

    return run.cached(f"similarity {rehearsal_key(amao.calibrate_on)}", find)


def _reject(rule: str, period: int) -> int | None:
    """Return how many queries of a group pass; none where a random one is flipped."""
    if rule == "random":
        return None
    return stopping.exact(period) if rule == "exact" else stopping.paper(period)
