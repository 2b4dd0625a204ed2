"""Familiarity: the definition by brute force, a valid percentile, and the planted odd cell."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from pellucid.errors import EmptyTableError, ModelFileError
from pellucid.results import plain
from pellucid.table import Column, ColumnType, Schema, Table
from pellucid.training.familiarity import Familiarity, RowSpace, odd_columns, squared_distances

SCHEMA = Schema(
    (
        Column("age", ColumnType.NUMBER),
        Column("income", ColumnType.NUMBER),
        Column("town", ColumnType.CATEGORY),
        Column("note", ColumnType.TEXT),
    )
)


def make(n, seed):
    rng = np.random.default_rng(seed)
    age = rng.normal(40, 10, n)
    income = np.exp(rng.normal(10, 1, n))
    income[rng.random(n) < 0.1] = np.nan
    return Table(pd.DataFrame({"age": age, "income": income, "town": rng.choice(["a", "b", "c"], n), "note": "x"}), SCHEMA)


def test_distances_are_their_definition():
    space = RowSpace.fit(make(500, 0))
    a, b = space.encode(make(6, 1)), space.encode(make(9, 2))
    got = squared_distances(a, b, space.n_numbers)
    for i in range(6):
        for j in range(9):
            for c in range(3):
                x, y = a[i, c], b[j, c]
                known = float(np.isnan(x) != np.isnan(y)) if np.isnan(x) or np.isnan(y) else (float(x != y) if c == 2 else (x - y) ** 2 / 2)
                assert got[i, j, c] == pytest.approx(known, abs=1e-12)
    wide = space.encode(make(4000, 3))
    number = wide[:, :1]
    assert np.nanmean(squared_distances(number[:1000], number[1000:2000], 1)) == pytest.approx(
        1, abs=0.15
    )  # two random rows; the outermost quantiles are drawn in


def test_chunks_do_not_change_the_answer(monkeypatch):
    fitted = Familiarity.fit(make(200, 0), make(100, 1))
    whole = fitted.score(make(50, 2))
    monkeypatch.setattr("pellucid.training.familiarity.BLOCK", 700)
    for a, b in zip(whole, fitted.score(make(50, 2))):
        np.testing.assert_array_equal(a, b)


def test_a_row_in_a_gap_between_two_groups_of_values_is_strange():
    """Ranks do not see that nothing lies between -1 and 1."""
    schema = Schema((Column("x", ColumnType.NUMBER),))

    def two(n, seed):
        rng = np.random.default_rng(seed)
        return Table(pd.DataFrame({"x": rng.uniform(1, 3, n) * rng.choice([-1, 1], n)}), schema)

    fitted = Familiarity.fit(two(500, 0), two(500, 1))
    assert fitted.score(Table(pd.DataFrame({"x": [-0.5, 0.0, 0.5]}), schema))[0].max() < 2
    assert np.median(fitted.score(two(500, 2))[0]) == pytest.approx(50, abs=8)


@pytest.mark.parametrize("held", [True, False])
def test_the_percentile_is_uniform_on_rows_like_those_of_training(held):
    fitted = Familiarity.fit(make(800, 0), make(800, 1) if held else None)
    percent, _ = fitted.score(make(800, 2))
    assert stats.ks_2samp(percent, np.random.default_rng(0).random(5000) * 100).pvalue > 0.001
    assert (percent < 1).mean() <= 0.01 + 4 * np.sqrt(0.01 / 800) + 0.01


def test_the_odd_cell_is_named():
    fitted = Familiarity.fit(make(800, 0), make(800, 1))
    plain_rows = make(300, 2)
    slip = plain_rows.with_cells({"income": plain_rows.numbers("income") * 1000})
    here = ~np.isnan(plain_rows.numbers("income"))
    percent, excess = fitted.score(slip)
    assert (percent[here] < 1).mean() > 0.95
    assert np.mean(np.array(odd_columns(excess, fitted.columns))[here] == "income") > 0.95
    unseen = plain_rows.with_cells({"town": "atlantis"})
    percent, excess = fitted.score(unseen)
    assert np.median(percent) < 10
    assert np.mean(np.array(odd_columns(excess, fitted.columns)) == "town") > 0.9


def test_state_comes_back_and_too_few_rows_are_named():
    fitted = Familiarity.fit(make(60, 0))
    for state in (fitted.state(), plain(fitted.state())):
        back = Familiarity.from_state(state)
        for a, b in zip(back.score(make(20, 1)), fitted.score(make(20, 1))):
            np.testing.assert_array_equal(a, b)
    with pytest.raises(ModelFileError):
        Familiarity.from_state({"space": {}})
    with pytest.raises(EmptyTableError, match="at least 3, got 2"):
        Familiarity.fit(make(2, 0))


def test_columns_that_are_empty_or_piled_up_do_no_harm():
    frame = pd.DataFrame({"age": np.nan, "income": np.where(np.arange(100) % 10, 0.0, 5.0), "town": "a", "note": "x"})
    percent, excess = Familiarity.fit(Table(frame, SCHEMA)).score(Table(frame.head(5), SCHEMA))
    assert np.isfinite(percent).all()
    assert np.isfinite(excess).all()


@pytest.mark.parametrize("copies", [1, 60])
def test_products_of_matrices_find_the_same_neighbours(copies, monkeypatch):
    rng = np.random.default_rng(0)
    cells = {f"n{j}": np.where(rng.random(120) < 0.1, np.nan, rng.normal(size=120)) for j in range(24)}
    cells |= {f"c{j}": rng.choice(["a", "b", "d", None], 120) for j in range(9)}
    schema = Schema(tuple(Column(n, ColumnType.NUMBER if n[0] == "n" else ColumnType.CATEGORY) for n in cells))
    table = Table(pd.DataFrame(cells), schema)
    new = table.take(np.arange(80, 120)).with_cells({"c0": np.array(["never seen"] * 40, object), "n0": np.full(40, 1e200)})
    kept = table.take(np.tile(np.arange(80 // min(copies, 40)), min(copies, 40)))  # copies: more rows are equally near than are looked at

    def told(many):
        monkeypatch.setattr("pellucid.training.familiarity.MANY", many)
        both = [Familiarity.fit(kept), Familiarity.fit(kept, table.take(np.arange(80, 120)))]
        return [a for f in both for a in (f.reference, f.usual, *f.distance(table), *f.distance(new))]

    for a, b in zip(told(32), told(1000)):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-13)
