"""Any attack against any defenses, in any order, on digits. tox names the combination.

``tox -e run-amao-jbdatr``, or ``pytest tests/test_combination.py --combination=amao-jbdatr``.
The parts of a name are plugins and an answer format, in any order; of defenses every order is run.
"""

from __future__ import annotations

import itertools
import json
import os
import re
from pathlib import Path

import pytest

from ringfence import hookspecs, plugins
from ringfence.choice import Choice
from ringfence.errors import BadOption, UnknownName, WrongNumber
from ringfence.pipeline import run_experiment
from ringfence.setup import prepare

BUDGET = 300
FORMAT = re.compile("soft|hard|top[0-9]+|round[0-9]+")
#: what is trained is trained briefly: a combination is to work, not to win
QUICK = {
    "training": {"epochs": 4},
    "amao": {"rehearsal_budget": 150, "malicious": 40, "steps": 2},
    "cloudleak": {"epochs": 2},
    "ddae": {"shadows": 6, "images": 8, "epochs": 1, "repeats": 1, "pairs": 200, "passes": 1}
    | {"warmup": 5, "steps": 1, "model": "substitute"},
    "jbdatr": {"epochs": 2},
    "knockoffnet": {"epochs": 5},
}


def sorted_out(parts):
    """Return defenses, the attack, recoveries and the answer format that ``parts`` name."""
    labels = [part for part in parts if FORMAT.fullmatch(part)]
    found = {"defense": [], "attack": [], "recovery": []}
    for name in (part for part in parts if part not in labels):
        kinds = [kind for kind in hookspecs.HOOKED if name in plugins.installed(kind)]
        if not kinds:
            known = [one for kind in hookspecs.HOOKED for one in plugins.installed(kind)]
            raise UnknownName("plugin", name, known)
        role = "defense"
        if kinds[0] == "attacks":
            attacks = hasattr(plugins.load(plugins.find("attacks", name)), "make_attack")
            role = "attack" if attacks else "recovery"
        found[role].append(name)
    return found, labels


def choices(parts, cache):
    """Yield the choice of every order of the defenses."""
    found, labels = sorted_out(parts)
    if len(found["attack"]) > 1 or len(labels) > 1:
        raise WrongNumber(f"One attack and one answer format, not {found['attack']}, {labels}.")
    used = {"training", *itertools.chain(*found.values())}
    for order in itertools.permutations(found["defense"]):
        yield Choice(
            dataset="digits",
            defense=order,
            attack=(found["attack"] or ["knockoffnet"])[0],
            recovery=tuple(found["recovery"]),
            labels=(labels or ["soft"])[0],
            budget=BUDGET,
            benign_clients=3,
            attacker_clients=2,  # or nobody could collude
            options={name: given for name, given in QUICK.items() if name in used},
            cache=cache,
        )


@pytest.fixture
def shared_cache(tmp_path):
    """Return the cache that all combinations of one call of tox share."""
    return Path(os.environ.get("RINGFENCE_COMBINATIONS") or tmp_path)


# seconds to minutes: tox -e run-NAME-NAME, or python -m pytest -m slow tests/test_combination.py
@pytest.mark.slow
def test_the_combination_works_in_every_order(combination, shared_cache):
    for choice in choices(combination, shared_cache):
        try:
            run, selected = prepare(choice)
        except (WrongNumber, BadOption) as reason:
            pytest.skip(f"{' '.join(combination)} cannot work: {reason}")
        result = run_experiment(run, selected, skip=choice.skip)

        assert json.loads(json.dumps(result, allow_nan=False))["run"]["order"] == list(selected)
        assert 0 < result["attack"]["queries"] <= BUDGET
        assert result["victim"]["accuracy"] > 0.8
        assert result["benign"]["queries"] > 0
        for phase in ("detectors", "responders", "verifiers"):
            assert result[phase].keys() <= {*choice.defense}
        accused = {found["verifier"] for found in result["evidence"]}
        assert accused == result["verifiers"].keys()


def test_a_name_is_sorted_out_whatever_the_order_of_its_parts(tmp_path):
    [one] = choices(["jbdatr", "hard", "ddae", "prada"], tmp_path)
    [other] = choices(["ddae", "prada", "jbdatr", "hard"], tmp_path)

    assert one == other
    assert (one.defense, one.attack, one.labels) == (("prada",), "jbdatr", "hard")
    assert (one.recovery, set(one.options)) == (("ddae",), {"training", "ddae", "jbdatr"})


def test_two_defenses_are_run_in_both_orders(tmp_path):
    orders = [choice.defense for choice in choices(["prada", "dawn", "knockoffnet"], tmp_path)]

    assert orders == [("prada", "dawn"), ("dawn", "prada")]


def test_an_unknown_part_is_told_with_the_nearest():
    with pytest.raises(UnknownName, match="Did you mean 'prada'"):
        sorted_out(["parda", "jbdatr"])


def test_what_cannot_work_says_why(tmp_path):
    [choice] = choices(["block", "jbdatr"], tmp_path)

    with pytest.raises(WrongNumber, match="'block' acts on what a detector suspects"):
        prepare(choice)
    with pytest.raises(WrongNumber, match="One attack"):
        list(choices(["jbdatr", "knockoffnet"], tmp_path))
