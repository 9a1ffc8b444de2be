"""Plots of tables: what they draw, and what they refuse."""

from __future__ import annotations

import re

import numpy as np
import pytest

from ringfence.errors import BadSpec
from ringfence_papers.classes import draw as draw_classes
from ringfence_papers.filled import Cell, Filled
from ringfence_papers.lines import draw as draw_lines
from ringfence_papers.plot import drawn
from ringfence_papers.study import Settings, Study
from ringfence_papers.table import Classes, Column, Row, Table

figures = pytest.importorskip("matplotlib.figure")
COLUMNS = (Column("a", "substitute.accuracy"), Column("b", "attack.changed"))
SEEN = {"a": Cell({0: 0.5})}
BY_CLASS = Classes("metrics.perclass.pool", ("metrics.perclass.substitute",))


def of(rows, cells, runs=(), **given):
    table = Table("T", "Figure 1", ("s",), COLUMNS, tuple(Row(at) for at in rows), **given)
    return Filled(Study("mine", None, Settings("Mine", {})), "figure1", table, cells, list(runs))


def epochs(*places, best="b"):
    rows = [{"dataset": "digits", "knockoffnet.epochs": place} for place in places]
    cells = [
        {"a": Cell({0: 0.2 + 0.1 * n, 1: 0.4 + 0.1 * n}), "b": Cell({0: 0.5 - abs(n - 1) / 10})}
        for n, _ in enumerate(places)
    ]
    return of(rows, cells, plot="lines", best=best)


def run(pool, substitute):
    return {"metrics": {"perclass": {"pool": pool, "substitute": substitute}}}


def axes_of(draw, filled):
    figure = figures.Figure()
    draw(filled, figure)
    return figure.axes


def test_lines_have_a_rule_where_the_named_column_is_best():
    (axes,) = axes_of(draw_lines, epochs(1, 5, 10))
    labels = {line.get_label(): line for line in axes.lines}

    assert list(labels["a"].get_ydata()) == pytest.approx([30, 40, 50])
    assert list(labels["best b: 5"].get_xdata()) == [5, 5]


def test_lines_over_far_values_are_logarithmic():
    (near,) = axes_of(draw_lines, epochs(1, 5, 10))
    (far,) = axes_of(draw_lines, epochs(1, 5, 200))

    assert near.get_xscale() == "linear"
    assert far.get_xscale() == "log"
    assert [tick.get_text() for tick in far.get_xticklabels()] == ["1", "5", "200"]


def test_a_panel_has_the_classes_from_the_rarest_on_and_means_over_the_seeds():
    runs = [[run([4, 0, 2], [0.5, None, 1.0]), run([6, 0, 2], [0.7, 0.2, 0.0])], []]
    filled = of([{"x": 1}, {"x": 2}], [SEEN, {}], runs, plot="classes", classes=BY_CLASS)
    accuracy, counts = axes_of(draw_classes, filled)

    assert [tick.get_text() for tick in accuracy.get_xticklabels()] == ["1", "2", "0"]
    assert np.allclose(accuracy.lines[0].get_ydata(), [20, 50, 60])
    assert [bar.get_height() for bar in counts.patches] == [0, 2, 5]


def test_a_value_that_is_no_list_is_refused():
    filled = of([{"x": 1}], [SEEN], [[run(3, [1.0])]], plot="classes", classes=BY_CLASS)

    with pytest.raises(BadSpec, match=r"no list at 'metrics.perclass.pool'"):
        draw_classes(filled, figures.Figure())


@pytest.mark.parametrize(
    "given", [{"plot": "classes"}, {"classes": BY_CLASS}, {"plot": "lines", "classes": BY_CLASS}]
)
def test_a_plot_by_class_needs_its_lists(given):
    with pytest.raises(ValueError, match="go together"):
        of([{"x": 1}], [{}], **given)


@pytest.mark.parametrize(
    "filled",
    [
        epochs(1, 5, 200),
        of([{"x": 1}], [SEEN], [[run([1, 2], [0.5, 0.5])]], plot="classes", classes=BY_CLASS),
        of([{"x": 1}], [{}], [], plot="classes", classes=BY_CLASS),
        of([{"x": "one"}], [{"a": Cell({0: 0.5}), "b": Cell()}], plot="dots"),
    ],
    ids=["lines", "classes", "nothing", "dots"],
)
def test_the_same_figures_give_the_same_picture(filled):
    picture = drawn(filled)

    assert picture == drawn(filled)
    assert re.search(rb"<svg", picture)
