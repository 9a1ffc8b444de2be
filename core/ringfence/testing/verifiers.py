"""The contract of verifiers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from attrs import evolve
from torch import nn

from ringfence.artifact import round_trip
from ringfence.errors import BudgetExhausted
from ringfence.experiment import Experiment
from ringfence.images import as_float
from ringfence.protocols import Endpoint, Verifier
from ringfence.selection import ask, manager
from ringfence.service import Service
from ringfence.testing.promises import keeping, promise, seeded_as_a_run
from ringfence.testing.tiny import defender, fresh, metered, stubborn, tiny_experiment, victim
from ringfence.types import Evidence

LIMIT = 200  #: queries of each suspect and control
CLIENTS = ("client-0", "client-1", "client-2")


def check_verifier(plugin: Any, device: str = "cpu") -> None:
    """Gives evidence within the owner's limit; accuses nobody when nothing was marked."""
    nothing = _judged(plugin, tiny_experiment(device=device))
    if not getattr(plugin, "judges_theft", False):
        told = "accuses without any evidence: where nothing was marked p_value is 1, stolen false"
        promise("verifier-empty", not nothing.stolen and nothing.p_value == 1, told)
    run, again = (served(plugin, tiny_experiment(device=device)) for _ in range(2))
    found = _judged(plugin, run)
    told = "the same seed, the same evidence"
    promise("verifier-seed", _judged(plugin, again) == found, told)
    promise("verifier-store", _judged(plugin, _restarted(run)) == found, "evidence must be stored")
    same = _judged(plugin, run, Service(_controls(run)[0]))
    told = "a suspect that is one of the controls is as innocent as they are"
    promise("verifier-controls", not same.stolen, told)
    _judged(plugin, run, limit=3)
    with keeping("verifier-hostile", "a suspect that answers all alike must be judged"):
        for endpoint in stubborn():
            _judged(plugin, run, endpoint)


def served(plugin: Any, run: Experiment) -> Experiment:
    """Let the plugin's responder, if it has one, answer clients; return the run."""
    model = victim(run)
    arguments = {"run": run.for_defense("it"), "victim": model}
    responders = ask(manager({"it": fresh(plugin)}), "make_responder", lambda _: arguments)
    service = Service(model, {}, responders, run.store)
    service.answer(as_float(run.pool), CLIENTS * (len(run.pool) // len(CLIENTS)))
    return run


def _restarted(run: Experiment) -> Experiment:
    """Return another run whose store was loaded from what the first one's dumped."""
    later = tiny_experiment(device=run.device)
    later.store.load(round_trip(run.store.dump(), run.device))
    return later


def _controls(run: Experiment) -> Sequence[nn.Module]:
    return [victim(run, f"control-{number}") for number in range(3)]


def _judged(
    plugin: Any, run: Experiment, suspect: Endpoint | None = None, limit: int = LIMIT
) -> Evidence:
    """Return what a fresh verifier says of ``suspect``, or of a model of chance, beside three."""
    suspect = suspect or Service(victim(run, "suspect"))
    verifier = defender("make_verifier", fresh(plugin), run, Verifier)
    controls = [metered(run, Service(one), limit) for one in _controls(run)]
    over = keeping("verifier-budget", "ask for at most oracle.remaining", BudgetExhausted)
    with seeded_as_a_run("verifier-random", run, "verify"), over:
        evidence: Evidence = verifier.verify(metered(run, suspect, limit), controls)
    promise("verifier-evidence", 0 <= evidence.p_value <= 1, "the p-value is a probability")
    promise("verifier-evidence", abs(evidence.score) < float("inf"), "the score is finite")
    plain = isinstance(evidence.stolen, bool) or type(evidence.stolen).__name__ == "bool"
    promise("verifier-evidence", plain, "stolen is a bool")
    return evolve(evidence, stolen=bool(evidence.stolen))
