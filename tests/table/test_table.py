"""The table itself: rows in pieces."""

from __future__ import annotations

import numpy as np

from pellucid.testing.predictors import made_table


def test_pieces_are_the_rows_in_order_and_a_short_table_is_its_own_piece():
    table = made_table({"x": np.arange(7.0)})
    assert table.pieces(7)[0] is table
    assert table.pieces(100)[0] is table
    assert [len(p) for p in table.pieces(3)] == [3, 3, 1]
    assert np.concatenate([p.numbers("x") for p in table.pieces(3)]).tolist() == list(range(7))
    assert table.take([]).pieces(3) == []
