"""The table itself: rows in pieces."""

from __future__ import annotations

import numpy as np
import pandas as pd

from pellucid.table import read_table
from pellucid.testing.predictors import made_table


def test_pieces_are_the_rows_in_order_and_a_short_table_is_its_own_piece():
    table = made_table({"x": np.arange(7.0)})
    assert table.pieces(7)[0] is table
    assert table.pieces(100)[0] is table
    assert [len(p) for p in table.pieces(3)] == [3, 3, 1]
    assert np.concatenate([p.numbers("x") for p in table.pieces(3)]).tolist() == list(range(7))
    assert table.take([]).pieces(3) == []


def test_columns_may_have_the_name_of_an_argument():
    table = read_table(pd.DataFrame({"self": [1.5, 2.5, 4.0], "b": [1.0, 2.5, 3.0]}))
    assert str(table.with_types(self="category").schema["self"].type) == "category"
    assert table.with_units(self="kg").schema["self"].unit == "kg"
    assert table.with_rules(self="never").schema["self"].rule.move == "never"
