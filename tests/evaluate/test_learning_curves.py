"""Learning curves: more rows help, wrong labels harm, and where one model overtakes another."""

import numpy as np
import pandas as pd
import pytest

import pellucid as pld
from pellucid.errors import RequestError
from pellucid.evaluate.curves import _overtakes, _rows, _words, wrong_labels


@pytest.fixture(scope="module")
def curve():
    """Return curves on a law that bends gently: a line is as good with few rows, trees with many."""
    x = np.random.default_rng(0).normal(size=(3000, 6))
    y = x[:, 0] + 0.5 * x[:, 1] + 0.5 * x[:, 2] * x[:, 3] + np.random.default_rng(1).normal(0, 0.5, 3000)
    frame = pd.DataFrame(x, columns=list("abcdef")).assign(y=y)
    return pld.learning_curve(frame, ["hist_gb", "linear"], target="y", sizes=[100, 2000], noise=[0.0, 0.4], repeats=1, budget="2min")


def test_more_rows_help_and_wrong_labels_harm(curve):
    frame = curve.to_frame()
    trees = frame[frame["model"] == "hist_gb"].pivot(index="rows", columns="noise", values="score")
    assert trees[0.0].is_monotonic_increasing
    assert (trees[0.0] > trees[0.4]).all()
    assert (frame["low"] < frame["high"]).all()


def test_the_size_at_which_one_overtakes_is_told(curve):
    frame = curve.to_frame().set_index(["model", "rows", "noise"])
    size = curve.overtakes["hist_gb", 0.0]
    assert size == 2000
    assert frame.loc[("hist_gb", 100, 0.0), "gain"] < 0
    assert frame.loc[("hist_gb", 2000, 0.0), "gain_low"] > 0
    assert f"overtakes linear from {size:,} rows on" in curve.words


def test_sizes_at_which_the_time_left_one_model_alone_are_not_compared():
    nothing = {"gain": np.nan, "gain_low": np.nan, "gain_high": np.nan}
    one = {"model": "tree", "rows": 100, "noise": 0.0, "gain": 0.2, "gain_low": 0.1, "gain_high": 0.3}
    lines = [one, {**one, "rows": 200, **nothing}, {**one, "model": "late", **nothing}]
    overtakes = {(name, 0.0): _overtakes(lines, name, 0.0) for name in ("tree", "late")}
    assert overtakes == {("tree", 0.0): 100, ("late", 0.0): None}
    words = _words(lines, overtakes, "r2", "linear")
    assert words == "tree overtakes linear from 100 rows on (+0.200 [+0.100, +0.300] R² at 100 rows)."
    assert _words(lines[2:], {("late", 0.0): None}, "r2", "linear").startswith("The time was too short")


def test_a_share_of_the_rows_in_use_is_made_wrong():
    truth, rows = np.zeros(1000), np.arange(0, 1000, 2)
    made = wrong_labels(truth, rows, 0.3, 3, np.random.default_rng(0))
    assert (made[1::2] == 0).all()
    assert abs((made[rows] != 0).mean() - 0.3) < 4 * np.sqrt(0.21 / 500)
    assert set(np.unique(made)) == {0.0, 1.0, 2.0}


def test_every_class_is_among_few_rows():
    truth = np.random.default_rng(0).integers(0, 26, 2000).astype(float)
    few, more = (_rows(truth, [str(k) for k in range(26)], size, np.random.default_rng(1)) for size in (40, 60))
    assert set(few) < set(more)
    assert len(set(truth[few])) == 26
    assert np.bincount(truth[more].astype(int)).min() == 2


def test_wrong_requests_are_refused():
    frame = pd.DataFrame({"a": np.arange(300.0), "y": np.arange(300.0) % 7})
    for options in ({"sizes": [1000]}, {"noise": [1.5]}, {"repeats": 0}, {"models": []}):
        with pytest.raises(RequestError):
            pld.learning_curve(frame, target="y", **options)
