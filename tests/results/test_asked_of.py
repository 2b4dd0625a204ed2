"""What is asked of an answer in hand: rows by place, outputs by name, and values told as what they are."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from pellucid.errors import RequestError
from pellucid.report.charts.local import waterfall
from pellucid.results import Explanation, Interactions, Neighbours, RunRecord, Words

NAMES = ("low", "middle", "high")
VALUES = np.array([[[3.0, -1.0, -2.0], [0.5, 0.25, -4.0]], [[1.0, 0.0, -1.0], [2.0, -2.0, 0.0]]])


@pytest.fixture
def made():
    data = pd.DataFrame({"age": [37, 51], "city": ["Bern", "Basel"]}, index=[70, 80])
    record = RunRecord("shapley", {"scale": "log-odds"})
    return Explanation(
        VALUES, np.zeros((2, 3)), ("age", "city"), NAMES, data, "log-odds", "shapley", record, VALUES.sum(1), gap=np.zeros((2, 3))
    )


@pytest.mark.parametrize("rows", [2, -3, "70", (0, 1), None, 1.0, True, [True], [5], slice("a", None), [[0]], [0.5]])
def test_rows_that_are_not_there_are_refused(made, rows):
    with pytest.raises(RequestError, match="from -2 to 1"):
        made[rows]


@pytest.mark.parametrize(
    ("rows", "labels"),
    [
        (-1, [80]),
        (np.int64(0), [70]),
        ([1, 0], [80, 70]),
        ([-1], [80]),
        (slice(1), [70]),
        ([False, True], [80]),
        (pd.Series([True, False]), [70]),
        ([], []),
    ],
)
def test_rows_are_found_by_place(made, rows, labels):
    cut = made[rows]
    assert list(cut.data.index) == labels
    assert len(cut.values) == len(labels)
    assert len(cut.to_frame()) == 3 * len(labels)
    assert str(cut)
    assert cut._repr_html_()


def test_an_output_has_a_name_and_a_place(made):
    assert made.top(1, output="high") == made.top(1, output=2) == made.top(1, output=-1)
    assert made.words(0, output="high").sentences == made.words(0, output=2).sentences
    for wrong in ("hihg", 3, -4, True, 1.0):
        with pytest.raises(RequestError, match="'middle', 'high', or 0 to 2"):
            made.top(1, output=wrong)
        with pytest.raises(RequestError, match="'middle', 'high', or 0 to 2"):
            made.words(0, output=wrong)


def test_one_row_of_a_shap_explanation_keeps_its_outputs(made):
    theirs = SimpleNamespace(
        values=VALUES[1], base_values=np.arange(3.0), data=np.array([51, "Basel"], object), feature_names=["age", "city"],
        output_names=list(NAMES),
    )  # fmt: skip
    read = Explanation.of_shap(theirs)
    assert read.outputs == NAMES
    assert np.array_equal(read.values, VALUES[[1]])
    assert np.array_equal(read.base_values, [[0.0, 1.0, 2.0]])


def test_sizes_have_no_direction_and_no_sum(made):
    sizes = replace(made, values=np.abs(VALUES), gap=None, says="sizes", scale="bits")
    told = str(sizes.words(0, output="high"))
    assert "answered −6 (log-odds of high)" in told  # the answer is no number of bits
    assert "city = Basel" not in told
    assert "city = Bern counts 4 (bits)" in told
    assert "without a direction" in told
    assert not any(word in told.split(" Whether")[0] for word in (" raises the answer by", " lowers the answer by", "starting from"))
    assert "exact" not in str(sizes).splitlines()[0]


def test_slopes_are_told_per_unit(made):
    slopes = replace(made, gap=None, says="slopes", scale="log-odds per unit")
    told = slopes.words(0, output="low", units={"age": "years"}).sentences
    assert told[1] == "At age = 37 years one more unit raises the answer by 3."
    assert not any("add up" in one or "together" in one for one in told)


def test_values_that_make_no_sum_are_not_drawn_as_steps(made):
    assert made.adds_up
    assert len(waterfall(made, 0).data) > 2
    alone = replace(made, gap=None, predictions=made.predictions + 1)
    assert not alone.adds_up
    bars = waterfall(alone, 0, 2, k=1).data[0]
    assert list(bars.x) == [-4.0]  # from 0, and the others are not summed
    assert bars.base is None
    assert "do not add up" in waterfall(alone, 0).layout.title.text


def test_pairs_of_several_outputs_do_not_cancel():
    by_set = np.array([[[0.4, -0.4, 0.0], [0.1, -0.05, -0.05]]])
    made = Interactions(
        (("a", "b"), ("a", "c")), by_set, ("a", "b", "c"), NAMES, "probability", "sii", "interactions", RunRecord("interactions")
    )
    assert made.top(1) == [(("a", "b"), pytest.approx(0.8 / 3))]
    assert made.top(1, output="middle") == [(("a", "b"), -0.4)]
    with pytest.raises(RequestError, match="there is no such output"):
        made.top(1, output="none")
    with pytest.raises(RequestError, match="there is no such row"):
        made.of_row(1)


def test_rows_of_neighbours_and_words_are_checked():
    near = Neighbours(
        np.arange(2), np.zeros((2, 1), np.int64), pd.DataFrame({"a": [1]}), ("y",), "distance", "nearest_rows", RunRecord("n")
    )
    assert near.rows(-1)["a"].tolist() == [1]
    said = Words(
        ("note",), ("y",), {"note": (("well", "done"),)}, {"note": (np.array([[1.0], [-2.0]]),)}, "points", "occlusion", "occlusion_words",
        RunRecord("w"), pd.DataFrame({"note": ["well done"]}),
    )  # fmt: skip
    assert said.top(0, 1, output="y") == [("note", "done", -2.0)]
    for wrong in (lambda: near.rows(2), lambda: said.top(1), lambda: near.rows("0")):
        with pytest.raises(RequestError, match="there is no such row"):
            wrong()
    with pytest.raises(RequestError, match="'y', or 0"):
        said.top(0, output="x")
