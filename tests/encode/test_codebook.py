"""Cells to states and back: what goes in comes out, whatever the type, and draws have the shape of the column."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from pellucid.encode.cell_codes import GRID, MOST_LEVELS, NumberCodes
from pellucid.encode.codebook import Codebook
from pellucid.errors import ColumnError, ModelFileError
from pellucid.table import Table, read_table
from pellucid.testing.mixed import FEATURES, mixed
from pellucid.testing.predictors import made_table


@pytest.fixture(scope="module")
def table() -> Table:
    return read_table(mixed(400)[FEATURES])


@pytest.fixture(scope="module")
def book(table: Table) -> Codebook:
    return Codebook.fit(table, table.columns)


def test_levels_and_missing_cells_come_back_as_they_were(table, book):
    coded = book.read(table)
    every = np.ones(coded.state.shape, bool)
    again = table.with_cells(dict(book.write(table.frame, every, coded.state, coded.share).items()))
    for name in ("city", "size", "member"):
        assert again.texts(name).tolist() == table.texts(name).tolist()
        assert again.frame[name].dtype == table.frame[name].dtype
    assert (again.missing("age") == table.missing("age")).all()


def test_numbers_come_back_to_the_resolution_of_their_state(table, book):
    coded, every = book.read(table), np.ones((len(table), len(book.names)), bool)
    again = book.write(table.frame, every, coded.state, coded.share)
    income = table.numbers("income")
    order = np.sort(income)
    gap = np.searchsorted(order, again["income"]) - np.searchsorted(order, income)
    assert np.abs(gap).max() <= 1  # the way there and back keeps the place among the training numbers
    known = ~table.missing("age")
    assert np.abs(again["age"][known] - table.frame["age"][known]).max() <= 1
    assert (again["age"][known] % 1 == 0).all(), "ages are whole numbers"


def test_dates_and_texts_are_cells_of_training(table, book):
    coded, every = book.read(table), np.ones((len(table), len(book.names)), bool)
    again = book.write(table.frame, every, coded.state, coded.share)
    for name in ("joined", "note"):
        assert set(again[name]) <= set(table.frame[name])
    assert again["joined"].dtype == table.frame["joined"].dtype
    days = np.abs((again["joined"] - table.frame["joined"]).dt.days)
    assert days.median() <= 5
    first = [note.split()[0] for note in table.frame["note"]]
    assert np.mean([a == b.split()[0] for a, b in zip(first, again["note"])]) > 0.95, "a text is drawn among near ones"


def test_draws_have_the_columns_distribution():
    draw = np.random.default_rng(0)
    values = np.where(draw.random(20_000) < 0.3, 0.0, np.exp(draw.normal(size=20_000)))
    codes = Codebook.fit(made_table({"x": values}), ("x",)).columns[0]
    assert isinstance(codes, NumberCodes)
    assert 0.0 in codes.atoms
    p = codes.counts / codes.counts.sum()
    state = draw.choice(len(p), 20_000, p=p)
    made = codes.values(state, draw.random(20_000))
    for q in (0.1, 0.35, 0.5, 0.7, 0.9, 0.99):
        assert (
            abs((made <= np.quantile(values, q)).mean() - (values <= np.quantile(values, q)).mean())
            < 4.5 * np.sqrt(2 * q * (1 - q) / 20_000) + 2e-3
        )
    assert made.max() <= values.max()


def test_outside_never_seen_and_missing_are_told_apart():
    made = made_table({"x": np.arange(100.0), "c": ["a", "b"] * 50})
    book = Codebook.fit(made, made.columns)
    new = Table(pd.DataFrame({"x": [50.0, 1e6, np.nan], "c": ["a", "new", None]}), made.schema)
    coded = book.read(new)
    assert coded.state[:, 1].tolist() == [1, -1, 0]
    assert coded.beyond[0].tolist() == [0, 0]
    assert coded.beyond[1, 0] > np.log(101) + np.log(1e4)
    assert coded.beyond[1, 1] == pytest.approx(np.log(101))
    assert coded.state[2].tolist() == [0, 0]
    assert coded.beyond[2].tolist() == [0, 0]


def test_rare_levels_of_a_long_column_share_a_state():
    names = np.array([f"zip {k}" for k in range(400)], object)
    cells = np.concatenate([np.repeat(names[:300], 3), names[300:]])
    made = made_table({"zip": cells})
    codes = Codebook.fit(made, ("zip",)).columns[0]
    assert len(codes.counts) == MOST_LEVELS + 2
    state = np.full(200, MOST_LEVELS + 1)
    drawn = set(codes.cells(state, np.random.default_rng(0).random(200), made.frame["zip"]))
    assert len(drawn) > 20
    assert drawn <= set(names)


def test_integers_categories_and_written_numbers_keep_their_form():
    frame = pd.DataFrame({"k": np.arange(60) % 7, "t": [f"{v},5" for v in range(60)], "s": pd.Categorical(list("abc") * 20)})
    made = read_table(frame, types={"t": "number"})
    book = Codebook.fit(made, made.columns)
    coded = book.read(made)
    again = book.write(made.frame, np.ones((60, 3), bool), coded.state, coded.share)
    assert again["k"].dtype.kind == "i"
    assert set(again["t"]) <= set(frame["t"])
    assert again["s"].dtype == frame["s"].dtype
    np.testing.assert_array_equal(made.with_cells(dict(again.items())).numbers("k"), frame["k"])


def test_a_column_without_a_value_has_gaps_only():
    made = made_table({"x": np.full(30, np.nan), "y": np.arange(30.0)})
    book = Codebook.fit(made, made.columns)
    assert (book.read(made).state[:, 0] == 0).all()
    other = made_table({"x": np.arange(30.0), "y": np.arange(30.0)})
    assert (book.read(other).state[:, 0] == 0).all()


def test_the_codebook_is_saved_and_a_damaged_one_is_refused(table, book):
    import json

    text = json.dumps(book.state(), default=lambda a: a.tolist())
    again = Codebook.from_state(json.loads(text))
    one, two = book.read(table), again.read(table)
    for field in ("state", "lo", "hi", "share", "beyond"):
        np.testing.assert_array_equal(getattr(one, field), getattr(two, field))
    every = np.ones(one.state.shape, bool)
    pd.testing.assert_frame_equal(
        book.write(table.frame, every, one.state, one.share), again.write(table.frame, every, two.state, two.share)
    )
    with pytest.raises(ModelFileError):
        Codebook.from_state({"columns": [{"kind": "number"}]})
    with pytest.raises(ColumnError):
        book.read(table.drop(["age"]))


def test_states_lie_in_the_order_of_their_values():
    values = np.concatenate([np.zeros(200), np.random.default_rng(1).normal(size=400)])
    codes = Codebook.fit(made_table({"x": values}), ("x",)).columns[0]
    middle = codes.values(np.arange(1, len(codes.counts)), np.full(len(codes.counts) - 1, 0.5))
    assert (np.diff(middle) > 0).all()
    assert codes.grid.shape[1] == GRID + 1
