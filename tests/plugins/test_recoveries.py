"""The recoveries compose with one another in any order, and every query is accounted for."""

from __future__ import annotations

import itertools
import random

import pytest

from ringfence.launch import launch

ASKING = ("collusion", "mixing", "probing")
FINISHING = ("distilling", "finetuning", "pruning")
SHORT = {"distilling": {"epochs": 1}, "finetuning": {"epochs": 1}, "mixing": {"share": 0.6}}


def stolen(recovery, budget=150, attack="toy_random_queries", **options):
    short = {name: o for name, o in {**SHORT, **options}.items() if name in (*recovery, attack)}
    return launch(
        {
            "dataset": "toy_blobs",
            "attack": attack,
            "recovery": recovery,
            "budget": budget,
            "attacker_clients": 3,
            "benign_clients": 0,
            "threads": 1,
            "options": short,
        }
    )


def accounted(result):
    """Return what was handed to the attack, and what the recoveries say they discarded."""
    told = [one["report"].get("discarded", 0) for one in result["recoveries"].values()]
    return result["attack"]["report"]["transfer_set"], sum(told)


@pytest.mark.parametrize("order", list(itertools.permutations(ASKING)), ids="-".join)
@pytest.mark.parametrize("budget", [150, 7])
def test_in_any_order_every_query_is_learnt_or_discarded(order, budget):
    result = stolen(order, budget)
    transfer, discarded = accounted(result)

    assert result["attack"]["queries"] == transfer + discarded
    assert transfer == {150: 20, 7: 1}[budget]  # at 2.5 times 3 queries an image
    assert budget - 8 < result["attack"]["queries"] <= budget


@pytest.mark.parametrize("seed", range(3))
def test_all_of_them_together_in_a_random_order(seed):
    order = random.Random(seed).sample(ASKING + FINISHING, 6)
    result = stolen(tuple(order))
    transfer, discarded = accounted(result)

    assert list(result["recoveries"]) == order
    assert result["attack"]["queries"] == transfer + discarded
    assert 0 < result["substitute"]["accuracy"] <= 1


def test_without_the_costly_ones_the_whole_budget_is_learnt():
    result = stolen(("collusion", "finetuning", "pruning"))

    assert accounted(result) == (150, 0)
    assert result["attack"]["queries"] == 150
    assert result["recoveries"]["finetuning"]["report"]["images"] == 150


def test_what_lies_within_mixing_sees_its_cover_too():
    outer, inner = (
        stolen(order)["recoveries"]["finetuning"]["report"]["images"]
        for order in (("finetuning", "mixing"), ("mixing", "finetuning"))
    )

    assert (outer, inner) == (60, 150)


def test_the_same_run_twice_is_the_same():
    first, second = (stolen((*ASKING, *FINISHING)) for _ in range(2))

    assert {**first, "seconds": 0} == {**second, "seconds": 0}
