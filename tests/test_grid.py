"""A sweep file: fixed values, a grid, what is left out and why."""

from __future__ import annotations

import pytest

from ringfence import grid
from ringfence.errors import RingfenceError

GOOD = """[run]
dataset = "toy_blobs"
attack = "toy_random_queries"
benign-clients = 2

[options.toy_blur]
share = 0.4

[grid]
seed = [0, 1]
defense = [[], ["toy_blur"], ["toy_watermark", "toy_blur"]]
"toy_random_queries.epochs" = [1, 2]

[[exclude]]
seed = 1
"toy_random_queries.epochs" = 2
why = "too long"

[resources]
cpus = 2
"""


def plan(tmp_path, text=GOOD):
    file = tmp_path / "sweep.toml"
    file.write_text(text)
    return grid.read(file)


def test_the_product_is_run_but_for_what_is_excluded(tmp_path):
    read = plan(tmp_path)

    assert len(read.runs) == 9
    assert len({run.id for run in read.runs}) == 9
    assert [why for _, why in read.excluded] == ["too long"] * 3
    assert read.runs[0].point == {"seed": 0, "defense": [], "toy_random_queries.epochs": 1}
    assert read.runs[0].named["benign_clients"] == 2


def test_a_run_has_the_threads_of_its_cores_unless_they_are_given(tmp_path):
    assert plan(tmp_path).runs[0].named["threads"] == 2
    fixed = GOOD.replace("benign-clients = 2", "threads = 1")

    assert plan(tmp_path, fixed).runs[0].named["threads"] == 1


def test_options_of_a_plugin_that_a_point_leaves_out_are_left_out(tmp_path):
    options = [run.named["options"] for run in plan(tmp_path).runs]

    assert "toy_blur" not in options[0]
    assert {"toy_blur": {"share": 0.4}, "toy_random_queries": {"epochs": 1}} in options


def test_points_that_differ_in_what_does_not_count_are_one_run(tmp_path):
    text = GOOD.replace('"toy_random_queries.epochs" = [1, 2]', '"toy_blur.share" = [0.1, 0.2]')
    read = plan(tmp_path, text.replace('"toy_random_queries.epochs" = 2', '"toy_blur.share" = 0.3'))

    assert len(read.runs) == 2 * (1 + 2 + 2)


def test_the_id_depends_on_the_values_and_not_on_their_order(tmp_path):
    one = {run.id for run in plan(tmp_path).runs}
    lines = GOOD.splitlines(keepends=True)
    lines[1], lines[2] = lines[2], lines[1]

    assert {run.id for run in plan(tmp_path, "".join(lines)).runs} == one
    assert not {run.id for run in plan(tmp_path, GOOD.replace("0.4", "0.5")).runs} >= one


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("seed = [0, 1]", "seeds = [0, 1]", "line 10: No option of run is named 'seeds'"),
        ("seed = [0, 1]", "seed = 0", "line 10: [grid] holds lists of values: seed = [...]."),
        ("seed = [0, 1]", "seed = []", "line 10: [grid] holds lists of values"),
        ("seed = [0, 1]", 'seed = [0, "1"]', "line 10: Option seed must be of type int: '1'."),
        ('why = "too long"', "", "[[exclude]] needs values and a reason"),
        ("cpus = 2", "cpus = 0", "line 20: Option resources.cpus must be > 0: 0."),
        ("cpus = 2", "cpu = 2", "No option of resources is named 'cpu'. Did you mean 'cpus'?"),
        ("[grid]", "[gird]", "line 9: No table is named 'gird'. Did you mean 'grid'?"),
    ],
)
def test_mistakes_are_told_with_file_and_line(tmp_path, old, new, message):
    assert old in GOOD
    with pytest.raises(RingfenceError) as caught:
        plan(tmp_path, GOOD.replace(old, new, 1))

    assert message in str(caught.value)
    assert "sweep.toml" in str(caught.value)


def test_a_run_refuses_a_sweep_file(tmp_path):
    from ringfence import spec

    (tmp_path / "sweep.toml").write_text(GOOD)
    with pytest.raises(RingfenceError, match="No table is named 'grid'"):
        spec.read(tmp_path / "sweep.toml")
