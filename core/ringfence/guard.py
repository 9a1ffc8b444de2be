"""Set up the defender's side: train the victim, put the selected defenses before it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import pluggy
import torch
from attrs import frozen

from ringfence.answers import answer_format
from ringfence.clock import Clock
from ringfence.experiment import Experiment
from ringfence.protocols import Verifier
from ringfence.record import Record
from ringfence.selection import ask, at_most_one, involved
from ringfence.service import Service
from ringfence.victims import Victim, get_victim, given_victim

Skip = Collection[str]


@frozen(eq=False)
class Guard:
    """A victim behind its defenses, and those who will look for its traces."""

    victim: Victim
    service: Service
    verifiers: Mapping[str, Verifier]


def train(run: Experiment, pm: pluggy.PluginManager, skip: Skip) -> Victim:
    """Return the victim: the user's own, or one trained by a plugin, or plainly."""
    if run.given is not None:
        return given_victim(run, run.given)

    def arguments(name: str) -> dict[str, Any]:
        return {"run": run.for_defense(name, pm.get_plugin(name))}

    trainers = ask(pm, "make_trainer", arguments, skip, run.streams.scope("hooks"))
    at_most_one("make_trainer", trainers)
    makers = involved(pm, "make_trainer", skip, trainers) if trainers else ()
    return get_victim(run, trainers=trainers, makers=makers)


def make_guard(
    run: Experiment, pm: pluggy.PluginManager, skip: Skip, victim: Victim, record: Record
) -> Guard:
    """Ask the selected defenses for their detectors, responders and verifiers."""

    def arguments(name: str) -> dict[str, Any]:
        view = run.for_defense(name, pm.get_plugin(name), victim.key)
        return {"run": view, "victim": victim.model}

    detectors, responders, verifiers = (
        ask(pm, hook, arguments, skip, run.streams.scope("hooks"))
        for hook in ("make_detector", "make_responder", "make_verifier")
    )
    format = answer_format(run.labels)
    clock = Clock(cuda=torch.device(run.device).type == "cuda")
    service = Service(victim.model, detectors, responders, run.store, format, record, clock)
    return Guard(victim, service, verifiers)
