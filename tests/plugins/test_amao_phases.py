"""Training, detection and verification of AMAO: contracts, references, and who is accused."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from attrs import define, evolve
from scipy.stats import binom

from ringfence import options, plugins
from ringfence.errors import BadOption
from ringfence.launch import launch
from ringfence.provenance import identify_trainer
from ringfence.testing import check_detector, check_trainer, check_verifier, tiny_experiment
from ringfence.types import Queries
from ringfence_amao import Amao
from ringfence_amao.anytime import Anytime
from ringfence_amao.presets import TRAININGS

DOCS = Path(__file__).parents[2] / "docs"
GIVEN = {"threshold": 0.5, "min_queries": 5, "window": 8}


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"attack": "fgsm"},
        {"attack": "fgsm_rs", "mix": 1.0},
        {"epsilon": 0.3, "step": 0.01, "steps": 2},
    ],
    ids=str,
)
def test_it_keeps_the_contract_of_trainers(options):
    check_trainer(Amao(**options))


@pytest.mark.parametrize(
    "options",
    [
        {**GIVEN, "suspicion": "cumulative"},
        {**GIVEN, "suspicion": "windowed"},
        {**GIVEN, "suspicion": "anytime"},
        {**GIVEN, "temperature": 3.0, "share_flagged": 0.1},
        {"rehearsal_budget": 160},
        {"rehearsal_budget": 160, "temperature": 1.0},
    ],
    ids=str,
)
def test_it_keeps_the_contract_of_detectors(options):
    check_detector(Amao(**options))


def test_it_keeps_the_contract_of_verifiers():
    check_verifier(Amao(always=True, period=2, min_pairs=3))


@pytest.mark.parametrize(
    ("option", "value"),
    [("period", 1), ("threshold", 0.0), ("threshold", 1.0), ("mix", 0.0), ("similarity", 1.0),
     ("epsilon", -0.1), ("temperature", 0.0), ("alpha", 0.0), ("window", 0),
     ("calibrate_on", "jbdrat"), ("pool", "nowhere")],
)  # fmt: skip
def test_an_option_without_meaning_is_refused(option, value):
    with pytest.raises(BadOption, match=f"amao.{option} must be"):
        plugins.build("defenses", "amao", {option: value})


def test_its_presets_are_told():
    assert "paper" in options.describe("preset", options.settable(Amao)["preset"])["type"]


def test_a_window_in_which_nobody_could_be_judged_is_refused():
    with pytest.raises(BadOption, match="'window' must be at least min_queries"):
        plugins.build("defenses", "amao", {"window": 10})


def test_adversarial_training_is_left_out_where_epsilon_is_zero():
    run = tiny_experiment().for_defense("it")

    assert Amao(epsilon=0.0).make_trainer(run) is None


@pytest.mark.parametrize("dataset", TRAININGS)
def test_the_radius_is_the_data_set_s_unless_given(dataset):
    run = evolve(tiny_experiment().for_defense("it"), dataset=dataset)

    assert Amao().make_trainer(run).craft.epsilon == TRAININGS[dataset].epsilon
    assert Amao(epsilon=0.2).make_trainer(run).craft.epsilon == 0.2
    assert Amao(epsilon=0.2, attack="fgsm_rs").make_trainer(run).craft.step == 0.25


@pytest.mark.parametrize(
    "other",
    [
        {"preset": "paper"},
        {"replay": False, "period": 8, "rule": "random", "similarity": 0.6},
        {"calibrate_on": "knockoffnet", "temperature": 2.0, "threshold": 0.9, "tail": 0.01},
        {"suspicion": "cumulative", "driven_by": ("ood",), "always": True, "min_pairs": 5},
    ],
)
def test_options_of_other_phases_train_the_same_victim(other):
    """`trained_by` promises it; runs that differ in them find one victim in the cache."""
    run = tiny_experiment().for_defense("amao")
    usual, changed = (Amao(**options).make_trainer(run) for options in ({}, other))

    assert (changed.craft, changed.mix) == (usual.craft, usual.mix)
    assert identify_trainer(Amao(**other)) == identify_trainer(Amao())
    assert identify_trainer(Amao(epsilon=0.3)) != identify_trainer(Amao())


@pytest.mark.parametrize("suspicion", ["cumulative", "windowed", "anytime"])
def test_flags_and_suspicion_are_those_of_a_loop(suspicion):
    random = np.random.default_rng(0)
    logits = torch.from_numpy(random.normal(size=(300, 4)) * 3)
    plugin = Amao(
        temperature=2.0, threshold=0.7, suspicion=suspicion, window=60, share_flagged=0.45
    )
    run = tiny_experiment().for_defense("it")
    detector = plugin.make_detector(run, tiny_experiment().new_model().eval())
    scaled = np.exp(logits.numpy() / 2)
    flags = (scaled.max(1) / scaled.sum(1)) <= 0.7
    expected, guilty = [], False
    for last in range(300):
        own = flags[max(0, last - 59) : last + 1] if suspicion == "windowed" else flags[: last + 1]
        guilty = guilty or (len(own) >= 50 and own.mean() > 0.45)
        expected.append(guilty)

    queries = Queries(torch.zeros(300, 1, 8, 8), ("a",) * 300, torch.arange(300))
    with run.store._store.batch(("a",)):
        verdict = detector.inspect(queries, logits)

    assert verdict.flagged.tolist() == flags.tolist()
    assert verdict.suspected.tolist() == expected
    assert any(expected)


def test_the_bet_is_the_mixture_it_is_said_to_be():
    limits, rate, chance = Anytime(0.1, 1e-3), 0.1, 1e-3
    grid = np.linspace(rate, 1, 200_001)

    def evidence(flags, queries):
        likelihood = np.exp(
            flags * np.log(grid) + (queries - flags) * np.log1p(-np.minimum(grid, 1 - 1e-12))
        )
        mixed = np.trapezoid(likelihood, grid) / (1 - rate)
        return mixed / math.exp(flags * math.log(rate) + (queries - flags) * math.log1p(-rate))

    for queries in (1, 2, 5, 20, 80):
        innocent = [k for k in range(queries + 1) if evidence(k, queries) < 1 / chance]
        assert limits(np.array([queries])).tolist() == [max(innocent)]


def test_the_bet_accuses_no_more_innocents_than_it_says():
    random = np.random.default_rng(1)
    flags = (random.random((4000, 600)) < 0.05).cumsum(1)
    ever = (flags > Anytime(0.05, 0.02)(np.arange(1, 601))).any(1)

    assert binom.sf(ever.sum() - 1, 4000, 0.02) > 1e-3
    assert ever.any()


@define(eq=False)
class Says:
    """A model that gives the marked images the classes it was told."""

    classes: torch.Tensor

    def query(self, images, clients=None):
        return torch.eye(4)[self.classes[: len(images)]]

    remaining: int = 10_000
    num_classes = 4
    clients = ("owner",)


def witness(flips, times=1, **options):
    """Return a verifier whose ledger holds flips to class 0 of one client, each so many times."""
    run = tiny_experiment().for_defense("it")
    queries = Queries(torch.rand(flips, 1, 8, 8), ("thief",) * flips, torch.arange(flips))
    answers = torch.eye(4, dtype=torch.float64)[torch.zeros(flips, dtype=torch.int64)]
    for _ in range(times):
        with run.store._store.batch(("thief",)):
            run.store.mark(queries, torch.arange(flips), "flipped")
            run.store._store.settle(queries, answers)
    return Amao(**options).make_verifier(run)


def repeats(share, of=200):
    classes = torch.ones(of, dtype=torch.int64)
    classes[: round(share * of)] = 0
    return Says(classes)


def test_who_repeats_the_flips_is_convicted_and_who_does_not_is_not():
    innocent = [repeats(0), repeats(0.01)]
    stolen, other = (witness(200).verify(repeats(share), innocent) for share in (0.2, 0.01))

    assert stolen.stolen
    assert stolen.score == 0.2
    assert stolen.p_value == pytest.approx(binom.sf(39, 200, 3 / 201))  # the worst control, plus 1
    assert not other.stolen
    assert other.p_value > 0.3


def test_controls_that_repeat_as_much_acquit():
    assert not witness(200).verify(repeats(0.2), [repeats(0.18)]).stolen


def test_a_record_that_is_too_small_accuses_nobody():
    few = witness(19).verify(repeats(1, 19), [repeats(0, 19)])

    assert (few.p_value, few.stolen) == (1, False)
    assert witness(20).verify(repeats(1, 20), [repeats(0, 20)]).stolen


def test_an_image_that_was_flipped_twice_counts_once():
    twice, once = (
        witness(30, times).verify(repeats(0.2, 30), [repeats(0, 30)]) for times in (2, 1)
    )

    assert twice == once
    assert not witness(19, times=2).verify(repeats(1, 38), [repeats(0, 38)]).stolen  # 19 images


def test_no_record_is_cut_below_the_least_number_of_flips():
    judge, thief, innocent = witness(60), repeats(1, 60), [repeats(0, 60)]

    assert judge.verify(evolve(thief, remaining=20), innocent).stolen
    assert judge.report() == {"records": 1, "pairs": 20}
    assert not judge.verify(evolve(thief, remaining=19), innocent).stolen
    assert judge.report() == {"records": 0, "pairs": 0}


def test_the_paper_s_threshold_is_asked_for_on_top():
    assert not witness(200, share=0.5).verify(repeats(0.4), [repeats(0)]).stolen
    assert witness(200, share=0.5).verify(repeats(0.6), [repeats(0)]).stolen


@pytest.mark.slow
def test_the_substitute_is_convicted_and_no_control_is(victims):
    """AMAO's claim as a whole, on digits: seen, answered, recognised; nobody else is."""
    common = {"dataset": "digits", "attack": "jbdatr", "labels": "hard", "budget": 3000}
    fast = {"training": {"epochs": 80, "batch_size": 128}, "amao": {"attack": "fgsm_rs"}}
    common |= {"options": fast}
    result = launch({**common, "defense": ("amao",), "threads": 1, "cache": victims})
    said = {(one["suspect"], one["stolen"]) for one in result["evidence"]}

    assert result["victim"]["accuracy"] >= 0.97
    assert result["victim"]["report"]["robust_accuracy"] > 0.5
    assert result["detectors"]["amao"]["first_alarm"] < 1000
    assert result["benign"]["changed"] <= 0.01
    assert result["benign"]["suspected"] == 0
    assert said == {
        ("substitute", True), ("control:independent", False), ("control:undefended", False)
    }  # fmt: skip


def told(result):
    """Return the cells of one run in the table of docs/plugins/amao.md."""
    thief, *controls = result["evidence"]
    changes, victim = result["responders"]["amao"]["report"], result["victim"]
    detector, stolen = result["detectors"]["amao"], result["substitute"]
    return {
        "victim: clean, validation under PGD-20": (
            f"{victim['accuracy']:.3f}, {victim['report']['robust_accuracy']:.3f}"
        ),
        "substitute: accuracy, fidelity": f"{stolen['accuracy']:.3f}, {stolen['fidelity']:.3f}",
        "detector: balanced accuracy, false positives per query": (
            f"{detector['accuracy']:.3f}, {detector['fpr']:.3f}"
        ),
        "thief suspected after": f"{detector['first_alarm']} queries",
        "its answers flipped, replayed, of those after that": (
            f"{100 * changes['flipped_rate']:.1f} %, {100 * changes['replayed_rate']:.1f} %"
        ),
        "its answers changed, of all": f"{100 * result['attack']['changed']:.1f} %",
        "flips that the substitute repeats; p-value": (
            f"{100 * thief['score']:.0f} %; {thief['p_value']:.0e}"
        ),
        "controls convicted": f"{sum(one['stolen'] for one in controls)} of {len(controls)}",
        "benign clients suspected, benign answers changed": (
            f"{result['benign']['suspected']:.0f}, {result['benign']['changed']:.0f}"
        ),
    }


def rows_of_the_page():
    """Yield the rows of that table, one cell for each seed."""
    lines = (DOCS / "results" / "amao-digits.jsonl").read_text().splitlines()
    runs = sorted(map(json.loads, lines), key=lambda result: result["run"]["seed"])
    cells = [told(run) for run in runs]
    return [f"| {name} | {' | '.join(one[name] for one in cells)} |" for name in cells[0]]


def test_the_page_says_what_the_result_file_says():
    page = (DOCS / "plugins" / "amao.md").read_text()

    assert [row for row in rows_of_the_page() if row not in page] == []
