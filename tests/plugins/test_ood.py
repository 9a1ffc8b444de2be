"""OOD detection: what is flagged, how it is calibrated, what it costs and what it catches."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st

from ringfence import plugins
from ringfence.calibration import best_cut
from ringfence.confidence import max_softmax
from ringfence.errors import BadOption, MissingData, UnknownName
from ringfence.flags import BinomialNoise, FixedShare
from ringfence.images import as_float
from ringfence.inference import logits
from ringfence.launch import launch
from ringfence.rehearsal import Rehearsal
from ringfence.testing import check_detector, check_trainer, tiny_experiment
from ringfence.types import Queries
from ringfence_ood import Ood

GIVEN = {"threshold": 0.6, "share": 0.1}


def detector(run=None, **options):
    run = run or tiny_experiment()
    torch.manual_seed(0)
    victim = run.new_model().eval()
    return run, victim, Ood(**options).make_detector(run.for_defense("ood"), victim)


def inspected(made, run, scores, clients=None):
    size = len(scores)
    queries = Queries(torch.zeros(size, 1, 8, 8), clients or ("a",) * size, torch.arange(size))
    with run.store.batch(queries.clients):
        return made.inspect(queries, scores)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10**6), st.sampled_from([1.0, 20.0, 200.0]), st.floats(0.3, 0.999999))
def test_msp_flags_what_a_plain_softmax_would(seed, scale, threshold):
    scores = torch.randn(30, 4, generator=torch.Generator().manual_seed(seed)) * scale
    odds = np.exp(scores.double().numpy() - scores.double().numpy().max(1, keepdims=True))
    expected = 1 / odds.sum(1)
    run, _, made = detector(threshold=threshold, share=0.1)

    verdict = inspected(made, run, scores)

    np.testing.assert_allclose(-verdict.score, expected, rtol=1e-12)
    clear = np.abs(expected - threshold) > 1e-12
    assert (verdict.flagged.numpy() == (expected <= threshold))[clear].all()


def test_a_lower_energy_is_less_suspicious_whatever_the_softmax_says():
    run, _, made = detector(score="energy", threshold=3.0, share=0.1)
    scores = torch.tensor([[0.0, 0.0, 0.0, 0.0], [2.0, -9, -9, -9], [9.0, 9.0, 9.0, 9.0]])

    verdict = inspected(made, run, scores)

    assert verdict.flagged.tolist() == [True, True, False]
    assert verdict.score.tolist() == pytest.approx([-np.log(4), -2.0, -9 - np.log(4)], abs=1e-4)


def test_the_threshold_itself_is_flagged():
    run, _, made = detector(threshold=0.25, share=0.1)

    assert inspected(made, run, torch.zeros(1, 4)).flagged.tolist() == [True]


def test_confident_answers_that_float32_rounds_to_one_keep_their_order():
    run, _, made = detector(**GIVEN)
    scores = torch.zeros(2, 4)
    scores[:, 0] = torch.tensor([30.0, 32.0])

    first, second = inspected(made, run, scores).score

    assert first > second


def test_a_client_is_suspected_from_its_fiftieth_query_on_and_nobody_else():
    run, _, made = detector(**GIVEN)
    scores = torch.zeros(160, 4)
    scores[1::2, 0] = 50.0
    verdict = inspected(made, run, scores, ("thief", "honest") * 80)

    assert verdict.suspected[::2].tolist() == [False] * 49 + [True] * 31
    assert not verdict.suspected[1::2].any()
    report = made.report()
    assert (report["clients"], report["suspected"]) == (2, 1)
    assert report["first_limit"] == 0.1


def test_a_window_suspects_a_late_thief_earlier():
    scores = torch.zeros(600, 4)
    scores[:500, 0] = 50.0
    alarms = {}
    for kind in ("cumulative", "windowed"):
        run, _, made = detector(suspicion=kind, window=50, **GIVEN)
        alarms[kind] = int(inspected(made, run, scores).suspected.nonzero()[0])

    assert alarms == {"cumulative": 555, "windowed": 505}


def test_limits_are_given_or_made_from_the_benign_share():
    assert detector(threshold=0.6, share=0.3)[2].suspicion.limits == FixedShare(0.3)
    run, victim, made = detector(threshold=0.3, tail=0.01)

    flagged = (max_softmax(logits(victim, run.validation.images)) <= 0.3).double().mean().item()
    limits = made.suspicion.limits

    assert isinstance(limits, BinomialNoise)
    assert made.found["benign_rate"] == flagged
    assert 0 < flagged < made.found["highest_rate"] == limits.rate
    assert limits.tail == 0.01


@pytest.mark.parametrize("rate", [0.0, 0.05, 0.5])
def test_a_false_positive_rate_is_kept_on_validation_and_rehearses_nothing(rate):
    made = detector(evolve(tiny_experiment(), outliers=None), false_positives=rate)[2]

    assert rate - 1 / 96 < made.found["benign_rate"] <= rate
    assert "calibration_accuracy" not in made.found


def test_the_threshold_is_the_best_on_the_images_of_a_rehearsed_attack():
    run = tiny_experiment()
    torch.manual_seed(0)
    victim = run.new_model().eval()
    asked = []

    def rehearse(view, name, model, budget, pool):
        asked.append((name, budget, pool, model is victim))
        images = as_float(run.pool[:30]) * 0.1
        queries = Queries(images, ("it",) * 30, torch.arange(30))
        return Rehearsal(model, (queries,), run.seeds)

    view = evolve(run.for_defense("ood"), rehearse=rehearse)
    made = Ood(calibrate_on="toy_random_queries", rehearsal_budget=70).make_detector(view, victim)

    benign = max_softmax(logits(victim, run.validation.images))
    cut = best_cut(benign, max_softmax(logits(victim, as_float(run.pool[:30]) * 0.1)))
    assert asked == [("toy_random_queries", 70, "outliers", True)]
    assert made.threshold == cut.threshold
    assert made.report()["calibration_accuracy"] == cut.accuracy > 0.75


def test_without_outliers_and_a_threshold_the_error_says_what_to_give():
    with pytest.raises(MissingData, match="--outliers"):
        detector(evolve(tiny_experiment(), outliers=None))


def test_it_trains_only_where_exposure_has_a_weight():
    run = tiny_experiment().for_defense("ood")

    assert Ood().make_trainer(run) is None
    assert Ood(exposure=0.5).make_trainer(run).report() == {"exposure": 0.5, "outliers": 96}
    check_trainer(Ood(exposure=0.5))


@pytest.mark.parametrize(
    "options",
    [
        GIVEN,
        {"false_positives": 0.1, "min_queries": 5, "tail": 0.3},
        {"score": "energy", "threshold": 1.8, "min_queries": 3, "share": 0.4},
        {**GIVEN, "suspicion": "windowed", "window": 6, "min_queries": 4, "share": 0.6},
    ],
    ids=str,
)
def test_it_keeps_the_contract_of_detectors(options):
    check_detector(Ood(**options))


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"threshold": 1.0}, BadOption, "between 0 and 1"),
        ({"threshold": 0.0}, BadOption, "between 0 and 1"),
        ({"threshold": float("nan")}, BadOption, "finite"),
        ({"score": "odin"}, UnknownName, "energy"),
        ({"calibrate_on": "knokoff"}, BadOption, "must be one of .*knockoffnet.*: 'knokoff'"),
        ({"share": 1.0}, BadOption, "ood.share must be"),
        ({"tail": 0.0}, BadOption, "ood.tail must be"),
        ({"false_positives": 1.0}, BadOption, "ood.false_positives must be"),
        ({"suspicion": "windowed", "window": 20}, BadOption, "at least min_queries, 50: 20"),
        ({"window": 5000}, BadOption, "ood.window must be"),
        ({"exposure": -1.0}, BadOption, "ood.exposure must be"),
    ],
    ids=str,
)
def test_an_option_without_meaning_is_refused(options, error, message):
    with pytest.raises(error, match=message):
        plugins.build("defenses", "ood", options)


def test_any_energy_is_a_threshold():
    assert plugins.build("defenses", "ood", {"score": "energy", "threshold": -3.0}).threshold == -3


@pytest.mark.slow
def test_exposure_makes_letters_stand_out_and_the_thief_is_found_at_once(victims):
    """On digits: signs teach the victim to be unsure of letters; no benign client is suspected."""
    training = {"epochs": 40, "batch_size": 256, "shift": 1}  # as in docs/plugins/ood.md
    common = {"dataset": "digits", "attack": "knockoffnet", "threads": 1}
    common |= {"cache": victims, "defense": ("ood",)}
    few = {"budget": 600, "options": {"training": training, "knockoffnet": {"epochs": 1}}}
    found = {}
    for weight in (0.0, 1.0):
        options = {**few["options"], "ood": {"exposure": weight}}
        found[weight] = launch({**common, **few, "options": options})

    plain, exposed = (found[weight]["detectors"]["ood"] for weight in (0.0, 1.0))
    assert exposed["auroc"] > plain["auroc"] + 0.05
    assert exposed["accuracy"] > plain["accuracy"] + 0.05
    assert exposed["first_alarm"] == 50
    assert [result["benign"]["suspected"] for result in found.values()] == [0, 0]
    assert [result["benign"]["changed"] for result in found.values()] == [0, 0]
    assert found[1.0]["victim"]["accuracy"] > found[0.0]["victim"]["accuracy"] - 0.02
