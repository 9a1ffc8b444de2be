"""Folders of result files that look like real ones."""

from __future__ import annotations

import hashlib
import itertools
import json
from copy import deepcopy

import numpy as np

RESULT = {
    "schema": 1,
    "run": {
        "id": "",
        "dataset": "mnist",
        "attack": "knockoffnet",
        "recovery": [],
        "defense": [],
        "metric": [],
        "oracle": "local",
        "store": "memory",
        "model": "lenet5",
        "substitute": "lenet5",
        "pool": "fashionmnist",
        "outliers": None,
        "options": {"mnist": {}, "lenet5": {}, "knockoffnet": {"epochs": 50, "lr": 0.01}},
        "versions": {"ringfence": "0.1.0", "torch": "2.13.0+cpu", "numpy": "2.4.6"},
        "marks": [],
        "order": ["knockoffnet"],
        "skip": [],
        "recipe": {"epochs": 18, "optimizer": "adam", "lr": 0.004},
        "labels": "soft",
        "budget": 60000,
        "benign_clients": 20,
        "attacker_clients": 1,
        "owner_queries": 10000,
        "seed": 0,
        "device": "cpu",
        "threads": 1,
        "data": {
            "train": "25", "validation": "47", "test": "e6",
            "pool": "e4", "seeds": "49", "outliers": None,
        },
    },
    "victim": {"accuracy": 0.9941, "trainer": None, "report": {}},
    "attack": {
        "queries": 60000, "clients": 1, "changed": 0.0, "l1": 0.0,
        "report": {"transfer_set": 60000},
    },
    "recoveries": {},
    "substitute": {"accuracy": 0.9452, "fidelity": 0.9463, "recovery": 0.9508},
    "benign": {
        "clients": 20, "queries": 10000, "accuracy": 0.9931,
        "changed": 0.0, "l1": 0.0, "suspected": 0.0,
    },
    "detectors": {},
    "responders": {},
    "verifiers": {},
    "evidence": [],
    "metrics": {},
    "baseline": None,
    "seconds": {
        "victim": 202.5, "attack": 623.0, "benign": 0.4,
        "total": 825.9, "peak_memory_mib": 589.9, "baseline": None,
    },
}  # fmt: skip

#: defense: (changed, l1, benign accuracy, what the thief loses with soft and with hard labels)
DEFENSES = {
    "": (0.0, 0.0, 0.993, 0.0, 0.0),
    "deceptive": (0.0, 0.41, 0.993, 0.15, 0.0),
    "dawn": (0.005, 0.01, 0.989, 0.01, 0.01),
    "amao": (0.31, 0.55, 0.985, 0.30, 0.26),
}
#: attack: (accuracy at 60,000 queries, what a tenth of them costs)
ATTACKS = {"knockoffnet": (0.945, 0.09), "jbdatr": (0.90, 0.05), "random": (0.83, 0.20)}


def result(**changes):
    """Return a result; ``changes`` by the path of a key: ``run__seed=1``."""
    made = deepcopy(RESULT)
    for path, value in changes.items():
        place = made
        *parents, last = path.split("__")
        for key in parents:
            place = place[key]
        place[last] = value
    made["run"]["id"] = made["run"]["id"] or _hash(made["run"])
    return made


def defended(defense, attack="knockoffnet", labels="soft", budget=60000, seed=0, **changes):
    """Return a result of made-up figures that follow the tables above."""
    changed, l1, benign, soft, hard = DEFENSES.get(defense, DEFENSES["amao"])
    base, tenth = ATTACKS.get(attack, ATTACKS["knockoffnet"])
    noise = np.random.default_rng([seed, *f"{defense}{attack}{labels}{budget}".encode()]).normal
    decade = np.log10(60000 / budget)
    lost = soft if labels == "soft" else hard + 0.03
    stolen = base - tenth * decade - lost + 0.012 * noise()
    victim = 0.9941 + 0.0002 * seed - (0.004 if defense == "amao" else 0)
    rate = changed * (1 + 0.02 * noise())
    acts = {defense: {"changed": rate, "l1": l1, "report": {}}}
    options = {attack: {"epochs": 50, "lr": 0.01}, **({defense: {"rate": 0.1}} if defense else {})}
    made = {
        "run__defense": [defense] if defense else [],
        "run__options": options,
        "run__attack": attack,
        "run__labels": labels,
        "run__budget": budget,
        "run__seed": seed,
        "victim__accuracy": victim,
        "victim__trainer": "amao" if defense == "amao" else None,
        "attack__queries": budget,
        "attack__changed": rate,
        "attack__l1": l1,
        "substitute__accuracy": float(stolen),
        "substitute__fidelity": float(stolen) + 0.001,
        "substitute__recovery": float(stolen) / victim,
        "benign__accuracy": benign + 0.0005 * noise(),
        "benign__changed": changed / 30,
        "responders": acts if changed or l1 else {},
        "evidence": evidence(defense),
    }
    return result(**{**made, **changes})


def evidence(defense):
    if defense != "dawn":
        return []
    found = {"verifier": "dawn", "score": 0.8}
    return [
        {**found, "suspect": "substitute", "p_value": 1e-9, "stolen": True},
        {**found, "suspect": "control:plain", "p_value": 0.4, "stolen": False},
    ]


def grid(
    defenses=tuple(DEFENSES),
    attacks=tuple(ATTACKS),
    labels=("soft", "hard"),
    budgets=(5000, 20000, 60000),
    seeds=(0, 1, 2),
    **changes,
):
    """Return a result for each combination."""
    every = itertools.product(defenses, attacks, labels, budgets, seeds)
    return [defended(d, a, form, b, s, **changes) for d, a, form, b, s in every]


def write(folder, results):
    """Write each result into its own folder, as runs do, and return the folder."""
    for number, one in enumerate(results):
        place = folder / f"run-{number:05}"
        (place / "stages").mkdir(parents=True)
        (place / "result.json").write_text(json.dumps(one, indent=2) + "\n")
    return folder


def _hash(run):
    return hashlib.sha256(json.dumps(run, sort_keys=True).encode()).hexdigest()[:16]
