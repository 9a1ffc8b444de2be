"""Comparisons pair runs that agree in everything else, and say what does not."""

from __future__ import annotations

import folders
import pytest

from ringfence.errors import RingfenceError, UnknownName
from ringfence_bench.runs import Runs


def read(folder, results, **options):
    return Runs(**options).read([folders.write(folder, results)])


def only(found):
    (comparison,) = found.analysis.comparisons
    return comparison


def remarks(found):
    return "; ".join(only(found).remarks)


def run(defense, accuracy, seed=0, **changes):
    return folders.defended(defense, seed=seed, **{"substitute__accuracy": accuracy, **changes})


def test_the_difference_is_that_of_the_pairs(tmp_path):
    seeds = range(4)
    sides = [run("", 0.9 + 0.01 * s, s) for s in seeds], [run("dawn", 0.8, s) for s in seeds]
    found = only(read(tmp_path, [*sides[0], *sides[1]]))

    assert (found.pairs, found.victims) == (4, 4)
    assert found.difference == pytest.approx(-0.115)
    assert found.low <= found.difference <= found.high < 0
    assert (found.p, found.p_holm) == (0.125, 0.125)


def test_pairs_of_one_victim_count_as_one_observation(tmp_path):
    found = only(read(tmp_path, folders.grid(("", "deceptive"), budgets=(5000, 60000))))

    assert (found.pairs, found.victims) == (36, 3)
    assert found.p == 0.25  # 2 / 2**3: twelve pairs a victim do not make more of it


def test_p_values_are_corrected_over_all_comparisons_of_the_report(tmp_path):
    found = read(tmp_path, folders.grid(budgets=(60000,))).analysis.comparisons

    assert [(c.a, c.b) for c in found] == [(d, "none") for d in ("amao", "dawn", "deceptive")]
    assert {c.p_holm for c in found} == {0.75}


def test_two_seeds_have_no_interval_and_a_reason(tmp_path):
    found = read(tmp_path, folders.grid(("", "dawn"), seeds=(0, 1)))

    assert only(found).low is None
    assert "no interval: 2 of the 3 victims it needs" in remarks(found)


@pytest.mark.parametrize(
    ("column", "changes"),
    [
        ("device", {"run__device": "cuda"}),
        ("libraries", {"run__versions": {"torch": "2.12"}}),
        ("recipe", {"run__recipe": {"epochs": 1}}),
        ("pool", {"run__pool": "svhn"}),
        ("data_victim", {"run__data": {**folders.RESULT["run"]["data"], "train": "other"}}),
        ("benign_clients", {"run__benign_clients": 3}),
    ],
)
def test_runs_that_differ_elsewhere_are_no_pair_and_where_is_said(tmp_path, column, changes):
    found = read(tmp_path, [run("", 0.9), run("dawn", 0.8, **changes)])

    assert (only(found).pairs, only(found).difference, only(found).p) == (0, None, None)
    assert f"the nearest runs differ in {column}" in remarks(found)


def test_threads_and_the_defenders_images_do_not_part_a_pair(tmp_path):
    hashes = {**folders.RESULT["run"]["data"], "outliers": "77"}
    other = {"run__threads": 2, "run__outliers": "emnist", "run__data": hashes}
    found = read(tmp_path, [run("", 0.9), run("dawn", 0.8, **other)])

    assert only(found).pairs == 1
    assert any("numbers of threads: 1; 2" in note for note in found.analysis.notes)


def test_runs_without_a_partner_are_counted(tmp_path):
    runs = [run("", 0.9, s) for s in range(4)] + [run("dawn", 0.8, s) for s in (0, 1, 2, 9)]
    found = read(tmp_path, runs)

    assert (only(found).pairs, only(found).alone) == (3, (1, 1))
    assert "1 runs of A have no partner; 1 runs of B have no partner" in remarks(found)


def test_a_comparison_that_mixes_rates_or_training_says_so(tmp_path):
    found = read(tmp_path, folders.grid(("", "amao"), budgets=(60000,)))

    assert "mixes rates of changed answers: 0.310 and 0.000" in remarks(found)
    assert "mixes training: amao and plain" in remarks(found)
    assert "mixes" not in remarks(read(tmp_path / "b", folders.grid(("", "deceptive"))))


def test_attacks_are_compared_behind_the_same_defense(tmp_path):
    found = read(tmp_path, folders.grid(), compare=(("knockoffnet", "random"),))

    assert (only(found).column, only(found).pairs) == ("attacker", 72)
    assert only(found).difference > 0


def test_names_of_compositions_are_understood_without_blanks(tmp_path):
    both = [run("", 0.9), folders.result(run__defense=["a", "b"], substitute__accuracy=0.5)]

    assert only(read(tmp_path, both, compare=(("a+b", "none"),))).a == "a + b"


@pytest.mark.parametrize(
    ("pair", "message"),
    [
        (("dawm", "none"), "Did you mean 'dawn'"),
        (("dawn", "knockoffnet"), "Name two of one kind"),
        (("dawn", "dawn"), "the same twice"),
    ],
)
def test_a_pair_that_cannot_be_compared_is_refused_by_name(tmp_path, pair, message):
    with pytest.raises(RingfenceError, match=message) as error:
        _ = read(tmp_path, folders.grid(), compare=(pair,)).analysis
    assert isinstance(error.value, UnknownName) == ("mean" in message)


def test_a_defense_run_in_several_ways_must_be_named_in_full(tmp_path):
    def way(rate):
        return run("dawn", 0.8, run__options={"dawn": {"rate": rate}, "knockoffnet": {}})

    with pytest.raises(RingfenceError, match=r"several ways.*'dawn \[rate=0.1\]'"):
        _ = read(tmp_path, [way(0.1), way(0.2), run("", 0.9)], compare=(("dawn", "none"),)).analysis


def test_the_headline_is_the_worst_attacker_of_each_seed(tmp_path):
    figures = {("a", 0): 0.5, ("a", 1): 0.6, ("b", 0): 0.7, ("b", 1): 0.4}
    runs = [run("dawn", x, seed, run__attack=attack) for (attack, seed), x in figures.items()]
    (head,) = read(tmp_path, runs).analysis.headlines

    assert head.worst_by_seed == (0.7, 0.6)
    assert head.worst.mean == pytest.approx(0.65)
    assert head.attacker.endswith("(1 of 2 seeds)")


def test_attackers_and_seeds_that_a_defense_lacks_are_said(tmp_path):
    runs = [r for r in folders.grid(("", "dawn"), ("knockoffnet", "random"), budgets=(60000,))]
    runs = [r for r in runs if not (r["run"]["defense"] and r["run"]["attack"] == "random")]
    runs = [r for r in runs if r["run"]["defense"] or r["run"]["seed"] != 2]
    missing = {h.defender: h.missing for h in read(tmp_path, runs).analysis.headlines}

    assert missing == {"none": ("seed 2",), "dawn": ("2 of 4 attackers",)}


def test_defenses_at_the_same_rate_and_training_stand_side_by_side(tmp_path):
    (group,) = read(tmp_path, folders.grid()).analysis.same_rate

    assert [h.defender for h in group.members] == ["deceptive", "dawn", "none"]
    assert (group.trained, group.low) == ("plain", 0.0)


def test_a_group_spans_no_more_than_the_tolerance(tmp_path):
    def at(name, rate):
        return run(name, 0.5, attack__changed=rate)

    rates = {"a": 0.10, "b": 0.11, "c": 0.12, "d": 0.125, "e": 0.5}
    groups = read(tmp_path, [at(n, r) for n, r in rates.items()]).analysis.same_rate

    assert [[h.changed for h in g.members] for g in groups] == [[0.10, 0.11, 0.12]]


def test_a_headline_table_that_mixes_says_so(tmp_path):
    notes = read(tmp_path, folders.grid()).analysis.notes

    assert any("mixes rates of changed answers (0.000 to 0.31" in note for note in notes)
    assert any("mixes how victims were trained: amao, plain" in note for note in notes)


def test_settings_are_never_averaged(tmp_path):
    runs = [
        run("", 0.9),
        run("", 0.5, run__marks=["subset"]),
        run("", 0.4, run__oracle="http"),
        run("", 0.3, run__model="cnn5"),
    ]
    heads = {h.setting: h.worst.mean for h in read(tmp_path, runs).analysis.headlines}

    assert heads == {
        "mnist, lenet5": 0.9,
        "mnist, lenet5 (subset)": 0.5,
        "mnist, lenet5 (answers from http)": 0.4,
        "mnist, cnn5": 0.3,
    }
