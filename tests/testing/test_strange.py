"""The planted strangeness is what it says: one cell a row, in range or a thousand times too large."""

import numpy as np
import pandas as pd

from pellucid.table import read_table
from pellucid.testing.predictors import made_frame, made_table
from pellucid.testing.strange import ranking, scaled, swapped, withheld


def changed(before, after):
    return np.column_stack(
        [~((before.frame[c] == after.frame[c]) | (before.frame[c].isna() & after.frame[c].isna())) for c in before.columns]
    )


def test_one_cell_a_row_is_swapped_and_stays_in_range():
    table = made_table(made_frame(400, 3, (3, 2), missing=0.1))
    other, names = swapped(table, 1)
    at = changed(table, other)
    assert (at.sum(1) == 1).all()
    assert (np.array(table.columns, object)[at.argmax(1)] == names).all()
    for c in table.columns:
        assert set(other.frame[c].dropna()) <= set(table.frame[c].dropna())
    assert len(set(names)) == 5
    again, _ = swapped(table, 1)
    pd.testing.assert_frame_equal(again.frame, other.frame)
    constant = read_table({"x": [1.5, 2.5, 3.5], "k": ["a", "a", "a"]}, types={"x": "number", "k": "category"})
    assert set(swapped(constant, 0)[1]) == {"x"}


def test_one_number_a_row_is_a_thousand_times_too_large():
    table = made_table(made_frame(300, 3, (3,), missing=0.2))
    other, names = scaled(table, 2)
    at = changed(table, other)
    there = np.array([n is not None for n in names])
    assert (at.sum(1) == there).all()
    rows = np.flatnonzero(names == "x2")
    np.testing.assert_allclose(other.numbers("x2")[rows], 1000 * table.numbers("x2")[rows])


def test_withheld_rows_and_the_area():
    known, strange = withheld(pd.DataFrame({"k": list("aabbc"), "x": range(5)}), "k", ["b", "c"])
    assert known["x"].tolist() == [0, 1]
    assert strange["x"].tolist() == [2, 3, 4]
    assert ranking([0, 1], [1, 2])[0] == 0.875
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=400), rng.normal(1, 1, 300)
    area, error = ranking(a, b)
    assert area == np.mean((b[:, None] > a[None, :]) + 0.5 * (b[:, None] == a[None, :]))
    assert 0.01 < error < 0.03
