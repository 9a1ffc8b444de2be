"""Judge a user's own model and defense, with no packaging: the worst case over the attacks."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import attrs
from attrs import frozen
from torch import nn

from ringfence import options
from ringfence.cache import Cache
from ringfence.choice import Choice
from ringfence.errors import BadOption
from ringfence.experiment import Experiment
from ringfence.given import GivenModel, GivenSet, OwnModel, fresh_copy
from ringfence.ownpool import HALF
from ringfence.pipeline import run_experiment
from ringfence.plugins import check_contract
from ringfence.setup import prepare
from ringfence.types import ImageSet

GIVEN = "given"  #: the name of the user's own data set and model
OWN = "own"  #: the name of the architecture that the user's function makes
TAKEN = {"dataset", "model", "attack", "defense", "cache"}
MARK = "given_victim"  #: the victim was the user's: no trainer was asked


@frozen
class Evaluation:
    """The results of one victim and its defenses against several attacks."""

    results: Mapping[str, Mapping[str, Any]]  #: attack: what ``result.json`` would hold

    @property
    def worst(self) -> str:
        """The attack whose substitute is most accurate."""
        return max(self.results, key=lambda name: self.results[name]["substitute"]["accuracy"])

    @property
    def accuracy(self) -> float:
        """The substitute's accuracy in the worst case: lower is a better defense."""
        accuracy: float = self.results[self.worst]["substitute"]["accuracy"]
        return accuracy

    def __str__(self) -> str:
        """Return the headline, then one line per attack."""
        worst = self.results[self.worst]
        lines = [
            f"worst case: {self.worst} steals {self.accuracy:.4f} of accuracy "
            f"(victim {worst['victim']['accuracy']:.4f}, "
            f"benign clients are told {_shown(worst['benign']['accuracy'])})"
        ]
        for name, result in self.results.items():
            stolen = result["substitute"]
            lines.append(
                f"  {name}: accuracy {stolen['accuracy']:.4f}, fidelity {stolen['fidelity']:.4f}, "
                f"{result['attack']['queries']} queries"
            )
        return "\n".join(lines)


def evaluate(
    model: nn.Module,
    data: ImageSet | str,
    *,
    defense: Any = (),
    attacks: Sequence[str] = ("knockoffnet",),
    substitute: str | Callable[[], nn.Module] | None = None,
    **choice: Any,
) -> Evaluation:
    """Attack a trained ``model`` behind ``defense``, once per attack, and return all results.

    ``model`` takes float images ``(N, C, H, W)`` in ``[0, 1]`` and returns logits ``(N, K)``.
    ``data``: the name of a data set, or an :class:`ringfence.types.ImageSet`. ``defense``: a
    plugin object, or several in order. ``substitute``: the attacker's architecture, by name or
    as a factory; by default the model's own, with fresh weights. ``choice``: any field of
    :class:`ringfence.choice.Choice`, such as ``pool``, ``budget``, ``labels``, ``options``.

    Nothing is trained for the victim: a defense's training phase is not asked for.
    """
    attacks = (attacks,) if isinstance(attacks, str) else attacks
    if not attacks:
        raise BadOption("Give at least one attack.")
    if taken := sorted(TAKEN & choice.keys()):
        raise BadOption(f"evaluate() sets {', '.join(taken)} itself. Leave it out.")
    if choice.get("pool") == HALF:
        raise BadOption(f"A trained victim was not kept from {HALF!r} of its data. Name a set.")
    own = _own(model, data, substitute)
    named = {
        **choice,
        "dataset": data if isinstance(data, str) else GIVEN,
        "model": GIVEN,
        "substitute": OWN if callable(substitute) else substitute,
    }
    defenses, cache = _named(defense), Cache()
    results = {}
    for attack in attacks:
        others = {one for one in attacks if one != attack}
        run, selected = _prepared({**named, "attack": attack}, own, defenses, others)
        run = attrs.evolve(run, given=model, cache=cache)
        results[attack] = run_experiment(run, selected, skip=choice.get("skip", ()))
    return Evaluation(results)


def _prepared(
    named: Mapping[str, Any],
    own: Mapping[tuple[str, str], Any],
    defenses: Mapping[str, Any],
    others: Collection[str],
) -> tuple[Experiment, dict[str, Any]]:
    """Return the run against one attack; options for the ``others`` are left out."""
    given = {name: o for name, o in named.get("options", {}).items() if name not in others}
    told = {**named, "defense": list(defenses), "options": given}
    choice = Choice(**options.check(options.RUN, Choice, told))
    fresh = {("defenses", name): attrs.evolve(plugin) for name, plugin in defenses.items()}
    run, selected = prepare(choice, {**own, **fresh})
    spec = {**run.spec, "marks": [*run.spec["marks"], MARK]}
    return attrs.evolve(run, spec=spec), selected


def _own(
    model: nn.Module, data: ImageSet | str, substitute: str | Callable[[], nn.Module] | None
) -> dict[tuple[str, str], Any]:
    """Return the user's objects by the kind and the name under which the run knows them."""
    blank = fresh_copy(model)  # a view of the run must not lead to the victim's weights
    own: dict[tuple[str, str], Any] = {("models", GIVEN): GivenModel(blank)}
    if isinstance(data, ImageSet):
        own["datasets", GIVEN] = GivenSet(data)
    if callable(substitute):
        own["models", OWN] = OwnModel(substitute)
    return own


def _named(defense: Any) -> dict[str, Any]:
    """Return plugin objects by the names that results know them by."""
    several = defense if isinstance(defense, (list, tuple)) else (defense,)
    for one in several:
        check_contract("defenses", type(one).__name__, type(one))
    named = {type(one).__name__.lower(): one for one in several}
    if len(named) < len(several):
        raise BadOption("Two defenses are of one class. Give each class once.")
    return named


def _shown(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"
